/* SPDX-License-Identifier: Apache-2.0 */
/* files.c - whole files, and logs, on POSIX; those of a folder are in folder.c. */
#include "daemon/platform/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/platform/posix/file.h"
#include "daemon/platform/result.h"

int make_folders(const char *path, unsigned mode, struct udptun_error *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return error_set(err, UDPTUN_E_SYSTEM, NULL, "%s: path is too long", path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, (mode_t)mode) < 0 && errno != EEXIST)
            return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", part);
    }
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------- */

char *folder_current(void)
{
    char path[PATH_MAX];
    return getcwd(path, sizeof path) ? strdup(path) : NULL;
}

static int read_up_to(int fd, char *to, size_t size, size_t *used)
{
    while (*used < size) {
        ssize_t got = read(fd, to + *used, size - *used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        *used += (size_t)got;
    }
    return 0;
}

int file_opening_error(int failure, const char *name, struct udptun_error *err)
{
    int code = failure == ENOENT ? UDPTUN_E_NOT_FOUND : UDPTUN_E_SYSTEM;
    return error_set_errno(err, code, failure, NULL, "%s", name);
}

int file_read_open(int fd, const char *name, size_t limit, char **text, size_t *size,
                   struct udptun_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", name);
    if (!S_ISREG(st.st_mode))
        return error_set(err, UDPTUN_E_SYSTEM, NULL, "%s: not a regular file", name);
    if (st.st_size < 0 || (size_t)st.st_size > limit)
        return error_set(err, UDPTUN_E_LIMIT, NULL, "%s: larger than %zu bytes", name, limit);
    char *data = (char *)malloc((size_t)st.st_size + 1);
    if (!data)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    size_t used = 0;
    int failure = read_up_to(fd, data, (size_t)st.st_size, &used);
    if (failure) {
        free(data);
        return error_set_errno(err, UDPTUN_E_SYSTEM, failure, NULL, "%s", name);
    }
    data[used] = '\0';
    *text = data;
    *size = used;
    return 0;
}

int read_file(const char *path, size_t limit, char **text, size_t *size, struct udptun_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return file_opening_error(errno, path, err);
    int rc = file_read_open(fd, path, limit, text, size, err);
    close(fd);
    return rc;
}

int file_read_secret(const char *path, void *to, size_t size, size_t *used, bool *exposed)
{
    struct stat info = {0};
    *used = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno;
    int failure = fstat(fd, &info) < 0 ? errno : read_up_to(fd, (char *)to, size, used);
    *exposed = S_ISREG(info.st_mode) && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    close(fd);
    return failure;
}

/* ---- logs ---------------------------------------------------------------------------------- */

int file_new(int fd, struct folder *folder, struct file **made)
{
    struct file *file = (struct file *)calloc(1, sizeof *file);
    *made = file;
    if (!file) {
        close(fd);
        return ENOMEM;
    }
    *file = (struct file){.fd = fd, .folder = folder};
    return 0;
}

int file_open_log(const char *path, struct file **made)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    *made = NULL;
    return fd < 0 ? errno : file_new(fd, NULL, made);
}

int file_offer(struct file *file, const void *data, size_t size)
{
    struct pollfd room = {.fd = file ? file->fd : STDERR_FILENO, .events = POLLOUT};
    if (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT))
        return EAGAIN;
    return write(room.fd, data, size) < 0 ? errno : 0;
}
