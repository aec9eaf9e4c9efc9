/* SPDX-License-Identifier: Apache-2.0 */
/* persist.h - a small file that outlives a crash of this process: the configuration that the next
 * start is to keep. */
#ifndef PROXY_LINUX_PERSIST_H
#define PROXY_LINUX_PERSIST_H

#include <stdbool.h>

#include "proto/error.h"

/* Put `text` into the file, which has the old text or the new one at any time. */
int persist_write(const char *path, const char *text, struct udptun_error *err);
/* Its text, which the caller frees; NULL: there is none, or it belongs to another user. */
char *persist_read(const char *path);
/* One that is not there is removed already. */
void persist_remove(const char *path);

#endif
