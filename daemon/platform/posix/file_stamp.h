/* SPDX-License-Identifier: Apache-2.0 */
/* file_stamp.h - whether a file is still the one that was read. */
#ifndef PLATFORM_POSIX_FILE_STAMP_H
#define PLATFORM_POSIX_FILE_STAMP_H

#include <stdbool.h>
#include <sys/stat.h>

/* All zero: there is no such file. */
struct file_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    time_t changed_s; /* the inode's change, which no program can set back */
    long changed_ns;
};

static inline struct file_stamp file_stamp_of(const struct stat *st)
{
    struct file_stamp stamp;
    stamp.device = st->st_dev;
    stamp.inode = st->st_ino;
    stamp.size = st->st_size;
#ifdef __APPLE__
    stamp.changed_s = st->st_ctimespec.tv_sec;
    stamp.changed_ns = st->st_ctimespec.tv_nsec;
#else
    stamp.changed_s = st->st_ctim.tv_sec;
    stamp.changed_ns = st->st_ctim.tv_nsec;
#endif
    return stamp;
}

static inline struct file_stamp file_stamp_at(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? file_stamp_of(&st) : (struct file_stamp){0};
}

static inline bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}

#endif
