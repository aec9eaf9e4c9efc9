/* SPDX-License-Identifier: Apache-2.0 */
/* background.c - see background.h. */
#include "daemon/service/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/platform/files.h"

/* The process that was started: wait for the daemon's word, or its end. */
static void wait_and_exit(int fd)
{
    uint8_t status = 1;
    ssize_t n;
    do
        n = read(fd, &status, 1);
    while (n < 0 && errno == EINTR);
    _exit(n == 1 ? status : 1);
}

int background_start(struct udptun_error *err)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "pipe");
        return -1;
    }
    pid_t pid = fork();
    if (pid < 0) {
        error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "fork");
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        return -1;
    }
    if (pid > 0) {
        close(pipe_fds[1]);
        wait_and_exit(pipe_fds[0]);
    }
    close(pipe_fds[0]);
    setsid();
    /* A second fork: a process that leads no session never gets a terminal again. */
    pid = fork();
    if (pid > 0)
        _exit(0);
    if (pid < 0) {
        error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "fork");
        return -1;
    }
    return pipe_fds[1];
}

void background_ready(int fd, int status)
{
    uint8_t byte = (uint8_t)status;
    struct stat st;
    if (status == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null >= 0) {
            dup2(null, STDIN_FILENO);
            dup2(null, STDOUT_FILENO);
            if (fstat(STDERR_FILENO, &st) < 0 || !S_ISREG(st.st_mode))
                dup2(null, STDERR_FILENO);
            close(null);
        }
    }
    write_all(fd, &byte, 1);
    close(fd);
}

int pid_file_write(const char *path, struct udptun_error *err)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", path);
    int rc = 0;
    if (write_all(fd, text, (size_t)size) < 0)
        rc = error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", path);
    close(fd);
    return rc;
}
