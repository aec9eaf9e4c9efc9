/* SPDX-License-Identifier: Apache-2.0 */
/* listener.h - the Unix socket that clients connect to. */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include <sys/types.h>

#include "proto/error.h"

struct proxy_listener {
    int fd;
    const char *path; /* the caller's */
    dev_t device;     /* of the file, so that nobody else's is removed */
    ino_t inode;
};

/* Mode 0660, owner `owner` ((uid_t)-1: this user). A socket on which nobody answers is replaced;
 * one that is served is UDPTUN_E_CONFLICT. */
int proxy_listener_open(struct proxy_listener *l, const char *path, uid_t owner,
                        struct udptun_error *err);
/* Closes it, and removes the file. */
void proxy_listener_close(struct proxy_listener *l);

#endif
