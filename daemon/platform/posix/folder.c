/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c - a folder and the files in it, on POSIX. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/platform/files.h"
#include "daemon/platform/posix/file.h"

struct folder {
    int fd;
    int spare; /* given up when the process has no other descriptor; -1: it was */
};

static void keep_spare(struct folder *f)
{
    if (f->spare < 0)
        f->spare = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
}

int folder_open(const char *path, struct folder **made)
{
    struct folder *f = (struct folder *)calloc(1, sizeof *f);
    *made = NULL;
    if (!f)
        return ENOMEM;
    f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->spare = -1;
    int failure = f->fd < 0 ? errno : 0;
    if (failure == 0 && flock(f->fd, LOCK_EX | LOCK_NB) < 0)
        failure = errno == EWOULDBLOCK ? EADDRINUSE : errno;
    if (failure) {
        folder_close(f);
        return failure;
    }
    keep_spare(f);
    *made = f;
    return 0;
}

void folder_close(struct folder *f)
{
    if (!f)
        return;
    if (f->spare >= 0)
        close(f->spare);
    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

/* -1 and errno. Of two threads that open files at once, none may: a folder is one thread's. */
static int open_in(struct folder *f, const char *name, int flags)
{
    int fd = openat(f->fd, name, flags | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && f->spare >= 0) {
        close(f->spare);
        f->spare = -1;
        fd = openat(f->fd, name, flags | O_CLOEXEC, 0600);
    }
    return fd;
}

int folder_read(struct folder *f, const char *name, size_t limit, char **text, size_t *size,
                struct udptun_error *err)
{
    int fd = open_in(f, name, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return file_opening_error(errno, name, err);
    int rc = file_read_open(fd, name, limit, text, size, err);
    close(fd);
    keep_spare(f);
    return rc;
}

bool folder_has(const struct folder *f, const char *name)
{
    return faccessat(f->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int folder_remove(struct folder *f, const char *name)
{
    return unlinkat(f->fd, name, 0) < 0 ? errno : 0;
}

int folder_rename(struct folder *f, const char *from, const char *to)
{
    return renameat(f->fd, from, f->fd, to) < 0 ? errno : 0;
}

int folder_link(struct folder *f, const char *from, const char *to)
{
    return linkat(f->fd, from, f->fd, to, 0) < 0 ? errno : 0;
}

int folder_sync(struct folder *f)
{
    return fsync(f->fd) < 0 ? errno : 0;
}

/* ---- a file -------------------------------------------------------------------------------- */

int file_open(struct folder *f, const char *name, enum file_use use, struct file **made)
{
    int flags = 0;
    switch (use) {
    case FILE_REPLACE:
        flags = O_WRONLY | O_CREAT | O_TRUNC;
        break;
    case FILE_UPDATE:
        flags = O_RDWR | O_CREAT;
        break;
    }
    *made = NULL;
    int fd = open_in(f, name, flags);
    return fd < 0 ? errno : file_new(fd, f, made);
}

int file_write(struct file *file, uint64_t at, const void *data, size_t size)
{
    const char *from = (const char *)data;
    while (size > 0) {
        ssize_t n = pwrite(file->fd, from, size, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        from += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

int file_cut(struct file *file, uint64_t size)
{
    return ftruncate(file->fd, (off_t)size) < 0 ? errno : 0;
}

int file_sync(struct file *file)
{
    return fsync(file->fd) < 0 ? errno : 0;
}

int file_close(struct file *file)
{
    if (!file)
        return 0;
    int failure = close(file->fd) < 0 ? errno : 0;
    if (file->folder)
        keep_spare(file->folder);
    free(file);
    return failure;
}
