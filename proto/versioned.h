/* SPDX-License-Identifier: Apache-2.0 */
/*
 * versioned.h - config structs that may differ in length between an app and the library.
 *
 * Such a struct begins with its `size`, as the app was compiled. New fields are added at the end,
 * aligned to eight bytes (so that none lies where an older struct has padding), and none is ever
 * moved. An app with an older header hands over less than the library knows: what is missing keeps
 * its default. The app's own compiler is who tells its size to the init function, which must not
 * write beyond it.
 */
#ifndef PROTO_VERSIONED_H
#define PROTO_VERSIONED_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The bytes of `type` up to and with `member`: what the oldest header had at least. */
#define VERSIONED_LEAST(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/* Fill the app's struct of `size` bytes with what it has of `defaults`. One that is longer than
 * ours is taken for ours: what the library does not know it cannot do. */
static inline void versioned_init(void *to, size_t size, const void *defaults, size_t own_size)
{
    if (size > own_size) {
        memset((char *)to + own_size, 0, size - own_size);
        size = own_size;
    }
    memcpy(to, defaults, size);
    memcpy(to, &size, sizeof size);
}

/* Lay the app's struct over ours, `to`, which has the defaults. False: its size is that of no
 * version. */
static inline bool versioned_read(void *to, size_t own_size, const void *from, size_t least_size)
{
    size_t size;
    memcpy(&size, from, sizeof size);
    if (size < least_size || size > own_size || size % sizeof(void *) != 0)
        return false;
    memcpy(to, from, size);
    memcpy(to, &own_size, sizeof own_size);
    return true;
}

#endif
