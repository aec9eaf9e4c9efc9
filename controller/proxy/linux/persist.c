/* SPDX-License-Identifier: Apache-2.0 */
/* persist.c - see persist.h. */
#include "controller/proxy/linux/persist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 65536 };

static int write_file(const char *path, const char *text)
{
    size_t size = strlen(text);
    unlink(path); /* whatever it is, we do not write into it */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, text, size);
    int rc = written < 0 ? -errno : (size_t)written < size ? -ENOSPC : 0;
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

int persist_write(const char *path, const char *text, struct udptun_error *err)
{
    char *fresh = NULL;
    if (asprintf(&fresh, "%s.new", path) < 0)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    int rc = write_file(fresh, text);
    if (rc == 0 && rename(fresh, path) < 0)
        rc = -errno;
    if (rc < 0)
        unlink(fresh);
    free(fresh);
    return rc < 0 ? error_set_errno(err, UDPTUN_E_SYSTEM, -rc, NULL, "cannot write %s", path) : 0;
}

char *persist_read(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    char *text = fd >= 0 ? calloc(1, MOST + 1) : NULL;
    /* The folder of the socket may be one in which others make files. */
    bool is_ours = text && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid();
    if (!is_ours || read(fd, text, MOST) <= 0) {
        free(text);
        text = NULL;
    }
    if (fd >= 0)
        close(fd);
    return text;
}

void persist_remove(const char *path)
{
    unlink(path);
}
