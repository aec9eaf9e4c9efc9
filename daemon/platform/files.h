/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.h - files and folders.
 *
 * A function that returns int returns 0 or the system's error number (result.h), unless it takes a
 * `struct udptun_error`: then it returns 0 or a code of <udptun/error.h>. Interrupted calls and
 * short writes are dealt with here. Files that are made belong to the user alone.
 */
#ifndef PLATFORM_FILES_H
#define PLATFORM_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/error.h"

struct file;
struct folder;

/* ---- whole files --------------------------------------------------------------------------- */

/* Make `path` a folder, and what leads to it, with these permissions (as 0700). Those that exist
 * stay as they are. 0 or UDPTUN_E_SYSTEM. */
int make_folders(const char *path, unsigned mode, struct udptun_error *err);

/* The whole of a regular file, with a NUL behind it that `size` does not count; free(*text). At
 * most `limit` bytes. 0, UDPTUN_E_NOT_FOUND when there is none, UDPTUN_E_LIMIT, UDPTUN_E_SYSTEM or
 * UDPTUN_E_NOMEM. */
int read_file(const char *path, size_t limit, char **text, size_t *size, struct udptun_error *err);

/* The first `size` bytes of a file with a secret; `*used` tells how many there are. `*exposed`:
 * users other than its owner may read it. A pipe without a writer does not hold this up. */
int file_read_secret(const char *path, void *to, size_t size, size_t *used, bool *exposed);

/* The folder that relative paths start from; free() it. NULL: not known, or out of memory. */
char *folder_current(void);

/* ---- a folder ------------------------------------------------------------------------------ */

/* Open a folder, and lock it against other processes that do the same. IO_IN_USE: one has it. A
 * folder keeps a spare descriptor, so that one of its files can be opened when the process has no
 * other. */
int folder_open(const char *path, struct folder **made);
/* NULL is accepted. The files in it have been closed. */
void folder_close(struct folder *folder);

/* As read_file(), of a file in the folder. */
int folder_read(struct folder *folder, const char *name, size_t limit, char **text, size_t *size,
                struct udptun_error *err);
/* Whether there is anything of that name. */
bool folder_has(const struct folder *folder, const char *name);
/* IO_NOT_FOUND: there is none. */
int folder_remove(struct folder *folder, const char *name);
/* Take the place of `to`, at once. */
int folder_rename(struct folder *folder, const char *from, const char *to);
/* A second name for a file, if the file system has such; `to` must not exist. */
int folder_link(struct folder *folder, const char *from, const char *to);
/* Names that were made, changed or removed last over a power failure. */
int folder_sync(struct folder *folder);

/* ---- a file in it -------------------------------------------------------------------------- */

enum file_use {
    FILE_REPLACE, /* write it from the beginning; what was in it is gone */
    FILE_UPDATE,  /* write anywhere; what is in it stays */
};

/* Open a file of the folder, or make it. */
int file_open(struct folder *folder, const char *name, enum file_use use, struct file **made);
/* Write all of `data` at an offset. */
int file_write(struct file *file, uint64_t at, const void *data, size_t size);
/* The file is `size` bytes long from now on. */
int file_cut(struct file *file, uint64_t size);
/* What was written lasts over a power failure. */
int file_sync(struct file *file);
/* Also frees it. It may report a write that failed late. NULL is accepted. */
int file_close(struct file *file);

/* ---- a log --------------------------------------------------------------------------------- */

/* Open a file to append lines to, or make it; its group may read it. */
int file_open_log(const char *path, struct file **made);
/* Append without waiting: IO_AGAIN when whoever reads is too slow. `file` NULL: to standard
 * error. */
int file_offer(struct file *file, const void *data, size_t size);

#endif
