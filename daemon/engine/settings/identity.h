/* SPDX-License-Identifier: Apache-2.0 */
/* identity.h - what lets a udp-local go on with its session after a restart, as bytes. */
#ifndef ENGINE_IDENTITY_H
#define ENGINE_IDENTITY_H

#include <udptun/engine.h>

#include "proto/udpt/machine.h"

enum { LABEL_KEY_SIZE = 16 };

struct identity {
    struct udptun_session_identity session;
    uint8_t label_key[LABEL_KEY_SIZE]; /* names of sources must be those of the start before */
};

/* UDPTUN_E_INVALID with field "identity": no such bytes, or of a version unknown here. */
int identity_parse(const void *data, size_t size, struct identity *identity,
                   struct udptun_error *err);
size_t identity_format(const struct identity *identity, uint8_t to[UDPTUN_IDENTITY_SIZE]);

#endif
