/* SPDX-License-Identifier: Apache-2.0 */
/* files.c - see files.h. */
#include "daemon/platform/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int make_folders(const char *path, mode_t mode, struct udptun_error *err)
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
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", part);
    }
    return 0;
}

int read_open_file(int fd, const char *name, size_t limit, char **text, size_t *size,
                   struct udptun_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", name);
    if (!S_ISREG(st.st_mode))
        return error_set(err, UDPTUN_E_SYSTEM, NULL, "%s: not a regular file", name);
    if (st.st_size < 0 || (size_t)st.st_size > limit)
        return error_set(err, UDPTUN_E_LIMIT, NULL, "%s: larger than %zu bytes", name, limit);
    size_t room = (size_t)st.st_size;
    char *data = malloc(room + 1);
    if (!data)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    size_t used = 0;
    while (used < room) {
        ssize_t n = read(fd, data + used, room - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int rc = error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", name);
            free(data);
            return rc;
        }
        if (n == 0)
            break;
        used += (size_t)n;
    }
    data[used] = '\0';
    *text = data;
    *size = used;
    return 0;
}

int read_file(int dir_fd, const char *name, size_t limit, char **text, size_t *size,
              struct udptun_error *err)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(err, errno == ENOENT ? UDPTUN_E_NOT_FOUND : UDPTUN_E_SYSTEM, errno,
                               NULL, "%s", name);
    int rc = read_open_file(fd, name, limit, text, size, err);
    close(fd);
    return rc;
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

int write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}
