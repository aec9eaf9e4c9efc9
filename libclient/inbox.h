/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.h - bytes of the connection in, whole JSON objects out. */
#ifndef LIBCLIENT_INBOX_H
#define LIBCLIENT_INBOX_H

#include <stddef.h>
#include <stdint.h>

#include "proto/control/scan.h"

struct inbox {
    char *data;
    size_t room; /* allocated, one byte of it for a NUL */
    size_t used;
    size_t start;     /* of the object that is being read */
    size_t scanned;   /* bytes that the scanner has seen */
    size_t limit;     /* the longest object */
    size_t hidden_at; /* where a NUL stands for `hidden` behind the object handed out, 0: nowhere */
    char hidden;
    struct scan scan;
};

void inbox_init(struct inbox *inbox, size_t limit);
void inbox_fini(struct inbox *inbox);

/* Forget everything read: a new connection begins. */
void inbox_clear(struct inbox *inbox);

/* Room for at least one byte, `*size` of it; NULL: out of memory. Pointers that inbox_next() gave
 * out become invalid. */
char *inbox_room(struct inbox *inbox, size_t *size);
/* `size` bytes were put there. */
void inbox_filled(struct inbox *inbox, size_t size);

/*
 * The next whole object: 1, with `*text` ending in NUL and `*size` its bytes without that. 0: none
 * yet. UDPTUN_E_BAD_REQUEST: what comes is no JSON object. UDPTUN_E_LIMIT: it is too long. The text
 * is valid until the next call.
 */
int inbox_next(struct inbox *inbox, char **text, size_t *size);

#endif
