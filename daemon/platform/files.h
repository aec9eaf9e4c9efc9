/* SPDX-License-Identifier: Apache-2.0 */
/* files.h - small helpers for folders and files. */
#ifndef PLATFORM_FILES_H
#define PLATFORM_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "proto/error.h"

/* Make `path` a folder, and what leads to it. Those that exist stay as they are.
 * 0 or UDPTUN_E_SYSTEM. */
int make_folders(const char *path, mode_t mode, struct udptun_error *err);

/* The whole of the file `name` relative to `dir_fd` (AT_FDCWD), with a NUL behind it that `size`
 * does not count; free(*text). At most `limit` bytes. 0, UDPTUN_E_NOT_FOUND when there is none,
 * UDPTUN_E_LIMIT, UDPTUN_E_SYSTEM or UDPTUN_E_NOMEM. */
int read_file(int dir_fd, const char *name, size_t limit, char **text, size_t *size,
              struct udptun_error *err);

/* The first `size` bytes of a file with a secret; `*used` tells how many there are. `*exposed`:
 * users other than its owner may read it. A pipe without a writer does not hold this up. 0 or the
 * system's error number. */
int file_read_secret(const char *path, void *to, size_t size, size_t *used, bool *exposed);

/* Likewise of an open file, which errors call `name`. */
int read_open_file(int fd, const char *name, size_t limit, char **text, size_t *size,
                   struct udptun_error *err);

/* All of `data`, signals and short writes notwithstanding. 0 or -1 with errno. */
int write_all(int fd, const void *data, size_t size);

#endif
