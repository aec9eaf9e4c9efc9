/* SPDX-License-Identifier: Apache-2.0 */
/* core.c - what every room asks of the engine: names, its hash, its part of a socket's rules. */
#include "daemon/engine/core/core.h"

#include <sodium.h>
#include <string.h>

#include "daemon/platform/socket.h"
#include "proto/error.h"
#include "proto/version.h"

_Static_assert(ENGINE_HASH_KEY_SIZE == crypto_shorthash_KEYBYTES, "the key is SipHash's");

const char *udptun_version(void)
{
    return UDPTUN_VERSION;
}

const char *udptun_code_name(int code)
{
    return error_name(code);
}

const char *udptun_state_name(enum udptun_state state)
{
    switch (state) {
#define STATE_NAME(symbol, name)                                                                   \
    case UDPTUN_##symbol:                                                                          \
        return name;
        UDPTUN_STATES(STATE_NAME)
#undef STATE_NAME
    }
    return "unknown";
}

uint64_t engine_hash(const struct udptun_engine *e, const void *data, size_t size)
{
    uint8_t out[crypto_shorthash_BYTES];
    uint64_t hash;
    crypto_shorthash(out, (const unsigned char *)data, size, e->hash_key);
    memcpy(&hash, out, sizeof hash);
    return hash;
}

static void on_opened(void *arg, udptun_socket socket)
{
    own_sockets_add(&((struct udptun_engine *)arg)->own, socket);
}

void engine_fill_rules(struct udptun_engine *e, struct socket_rules *rules)
{
    rules->protect = e->config.protect;
    rules->protect_arg = e->config.arg;
    rules->opened = on_opened;
    rules->opened_arg = e;
}
