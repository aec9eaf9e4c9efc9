/* SPDX-License-Identifier: Apache-2.0 */
/* file.h - what files.c and folder.c share. */
#ifndef PLATFORM_POSIX_FILE_H
#define PLATFORM_POSIX_FILE_H

#include <stddef.h>

#include "daemon/platform/files.h"

struct file {
    int fd;
    struct folder *folder; /* NULL: of none */
};

/* `fd` becomes the file's, also on failure. 0 or the error number. */
int file_new(int fd, struct folder *folder, struct file **made);

/* The whole of an open file, which errors call `name`; as read_file(). */
int file_read_open(int fd, const char *name, size_t limit, char **text, size_t *size,
                   struct udptun_error *err);
/* That it could not be opened, as a code. */
int file_opening_error(int failure, const char *name, struct udptun_error *err);

#endif
