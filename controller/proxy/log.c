/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - see log.h. */
#include "controller/proxy/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 1024 };

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
}

int log_open(struct log *log, const char *path, struct udptun_error *err)
{
    *log = (struct log){.fd = STDERR_FILENO, .path = path};
    if (!path)
        return UDPTUN_OK;
    int fd = open_file(path);
    if (fd < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "log file %s", path);
    log->fd = fd;
    return UDPTUN_OK;
}

void log_reopen(struct log *log)
{
    int fd = log->path ? open_file(log->path) : -1;
    if (fd >= 0) {
        close(log->fd);
        log->fd = fd;
    } else if (log->path) {
        log_write(log, LOG_WARN, "log file %s: %s", log->path, strerror(errno));
    }
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    char line[LINE_SIZE];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    used += (size_t)snprintf(line + used, sizeof line - used, ".%03ldZ %s: ", now.tv_nsec / 1000000,
                             level_names[level]);
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
    va_end(arguments);
    if (size < 0)
        return;
    used += (size_t)size < sizeof line - used - 1 ? (size_t)size : sizeof line - used - 2;
    /* What a client sent may be in it: no line but ours begins a line. */
    for (size_t i = 0; i < used; i++) {
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    }
    line[used++] = '\n';
    (void)!write(log->fd, line, used); /* a log that cannot be written stops nobody */
}
