/* SPDX-License-Identifier: Apache-2.0 */
/* files.h - small helpers for folders and files. */
#ifndef PLATFORM_FILES_H
#define PLATFORM_FILES_H

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

/* All of `data`, signals and short writes notwithstanding. 0 or -1 with errno. */
int write_all(int fd, const void *data, size_t size);

#endif
