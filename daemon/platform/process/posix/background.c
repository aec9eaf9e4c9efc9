/* SPDX-License-Identifier: Apache-2.0 */
/* background.c - see background.h: two forks, and a pipe to the process that was started. */
#include "daemon/platform/process/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct background {
    int pipe; /* to the process that waits */
};

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

/* `errno` of the call `what`. */
static int background_fail(const char *what, struct udptun_error *err)
{
    return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", what);
}

int background_start(struct background **made, struct udptun_error *err)
{
    int pipe_fds[2];
    struct background *b = (struct background *)calloc(1, sizeof *b);
    *made = b;
    if (!b)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    pid_t pid = -1;
    if (pipe(pipe_fds) < 0) {
        background_fail("pipe", err);
    } else if ((pid = fork()) < 0) {
        background_fail("fork", err);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
    }
    if (pid < 0) {
        free(b);
        *made = NULL;
        return UDPTUN_E_SYSTEM;
    }
    if (pid > 0) {
        close(pipe_fds[1]);
        wait_and_exit(pipe_fds[0]);
    }
    close(pipe_fds[0]);
    b->pipe = pipe_fds[1];
    fcntl(b->pipe, F_SETFD, FD_CLOEXEC);
    setsid();
    /* A second fork: a process that leads no session never gets a terminal again. */
    pid = fork();
    if (pid > 0)
        _exit(0);
    if (pid == 0)
        return 0;
    background_fail("fork", err);
    close(b->pipe);
    free(b);
    *made = NULL;
    return UDPTUN_E_SYSTEM;
}

static void let_go_of_terminal(void)
{
    struct stat st;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (fstat(STDERR_FILENO, &st) < 0 || !S_ISREG(st.st_mode))
        dup2(null, STDERR_FILENO);
    close(null);
}

void background_ready(struct background *b, int status)
{
    uint8_t byte = (uint8_t)status;
    ssize_t n;
    if (!b)
        return;
    if (status == 0)
        let_go_of_terminal();
    do
        n = write(b->pipe, &byte, 1);
    while (n < 0 && errno == EINTR);
    close(b->pipe);
    free(b);
}

int pid_file_write(const char *path, struct udptun_error *err)
{
    FILE *file = NULL;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0 && !(file = fdopen(fd, "w")))
        close(fd);
    if (!file)
        return background_fail(path, err);
    int rc = fprintf(file, "%ld\n", (long)getpid()) < 0 ? background_fail(path, err) : 0;
    if (fclose(file) != 0 && rc == 0)
        rc = background_fail(path, err);
    return rc;
}

void pid_file_remove(const char *path)
{
    unlink(path);
}
