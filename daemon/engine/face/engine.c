/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c - libudptun's engine: one event loop and the tunnels on it.
 *
 * Theory of operation
 *
 * A turn of the loop is: the clock is read once, sockets and timers call into the protocol
 * machines, and at the end, before the loop waits again (daemon/platform/loop.h), every tunnel that
 * was touched writes what has come of it, one gathered write per stream over all its flows, and
 * sets its timer. Batching thus comes from what was ready, never from waiting.
 *
 *     datagrams ─▶ front_*.c ─▶ udp_local.c ─▶ machine ─▶ carrier ─▶ stream
 *     stream ─▶ carrier ─▶ machine ─▶ egress.c (server) or a front (local) ─▶ sender ─▶ datagrams
 *
 * Bytes that were read stay where they are until the datagrams in them are sent: whoever calls
 * udpt_conn_input() flushes the sender before it reads again.
 *
 * Callbacks of the app run at the top of the stack (notices.c), but for those that carry data; in
 * these, what cannot be done at once waits for the end of the turn: tunnels are freed there, and
 * held datagrams and marks of streams acted on.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/core/core.h"
#include "daemon/engine/core/notices.h"
#include "daemon/engine/core/registry.h"
#include "daemon/engine/local/front_app.h"
#include "daemon/engine/server/egress.h"
#include "daemon/engine/tunnel/carrier.h"
#include "daemon/platform/datagram.h"
#include "daemon/platform/network.h"
#include "proto/error.h"
#include "proto/version.h"
#include "proto/versioned.h"

/* Rounds of a turn until the loop gets its chance again. */
enum { MAX_ROUNDS = 16 };

enum { TRIM_AFTER_US = 1000000 };

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

void engine_refresh(struct udptun_engine *e)
{
    loop_refresh(&e->loop);
    loop_turn_soon(&e->loop); /* for what the call brings about */
}

/* ---- turns --------------------------------------------------------------------------------------
 */

static void flush_dirty(struct udptun_engine *e)
{
    struct list now;
    list_init(&now);
    while (!list_empty(&e->dirty))
        list_move(&now, e->dirty.next);
    while (!list_empty(&now))
        tunnel_flush(list_entry(now.next, struct tunnel, dirty));
}

static bool idle(const struct udptun_engine *e)
{
    return list_empty(&e->streams) && list_empty(&e->held) && list_empty(&e->dirty) &&
           list_empty(&e->dead) && list_empty(&e->notices);
}

void engine_settle(struct udptun_engine *e)
{
    if (e->in_app > 0 || e->delivering)
        return;
    registry_free_dead(e);
    notices_deliver(e);
    registry_free_dead(e);
}

void engine_turn_again(struct udptun_engine *e)
{
    if (!timer_is_on(&e->again))
        timer_start(&e->again, 0);
}

static void on_turn(void *arg)
{
    struct udptun_engine *e = (struct udptun_engine *)arg;
    engine_thread_turn(e);
    LIST_FOREACH_SAFE (node, &e->turn_work) {
        struct turn_work *work = list_entry(node, struct turn_work, node);
        work->run(work);
    }
    for (int round = 0; round < MAX_ROUNDS && !idle(e); round++) {
        front_app_send_held(e);
        stream_app_settle(e);
        flush_dirty(e);
        engine_settle(e);
    }
    if (!idle(e))
        engine_turn_again(e);
    if (e->batch_used && !timer_is_on(&e->trim))
        timer_start(&e->trim, TRIM_AFTER_US);
}

/* Nothing to do but to have woken the loop. */
static void on_again(void *arg)
{
    (void)arg;
}

/* Called a second after datagrams came; when none did since, the burst is over. */
static void on_trim(void *arg)
{
    struct udptun_engine *e = (struct udptun_engine *)arg;
    if (!e->batch_used) {
        udp_batch_trim(e->batch);
        return;
    }
    e->batch_used = false;
    timer_start(&e->trim, TRIM_AFTER_US);
}

/* ---- life ---------------------------------------------------------------------------------------
 */

static void on_network_changed(void *arg)
{
    struct udptun_engine *e = (struct udptun_engine *)arg;
    LIST_FOREACH (node, &e->entries) {
        struct entry *o = list_entry(node, struct entry, node);
        if (o->kind == &tunnel_kind)
            tunnel_network_changed(tunnel_of(o));
    }
}

/* What a free() does to all that engine_new() may have got, loop and thread aside. */
static void release(struct udptun_engine *e)
{
    udp_sender_free(e->sender);
    own_sockets_fini(&e->own);
    if (e->batch)
        udp_batch_free(e->batch);
    free(e->read_buffer);
    sodium_memzero(e->hash_key, sizeof e->hash_key);
    free(e);
}

static struct udptun_engine *allocate(const struct udptun_engine_config *config)
{
    struct udptun_engine *e = (struct udptun_engine *)calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->config = *config;
    list_init(&e->entries);
    list_init(&e->dead);
    list_init(&e->dirty);
    list_init(&e->streams);
    list_init(&e->held);
    list_init(&e->notices);
    list_init(&e->turn_work);
    own_sockets_init(&e->own);
    e->sender = udp_sender_new();
    e->batch = udp_batch_new();
    e->read_buffer = (uint8_t *)malloc(ENGINE_READ_SIZE);
    if (e->sender && e->batch && e->read_buffer)
        return e;
    release(e);
    return NULL;
}

void udptun_engine_config_init_sized(struct udptun_engine_config *config, size_t size)
{
    const struct udptun_engine_config defaults = {.size = sizeof defaults};
    versioned_init(config, size, &defaults, sizeof defaults);
}

/* The caller's loop, of either kind, or a new one for a thread of ours. */
static int open_loop(struct udptun_engine *e, const struct udptun_engine_config *config,
                     struct udptun_error *err)
{
    int code = UDPTUN_OK;
    if (config->loop_table) {
        struct udptun_loop table;
        if (!versioned_read(&table, sizeof table, config->loop_table,
                            VERSIONED_LEAST(struct udptun_loop, wake)) ||
            !table.watch || !table.change || !table.unwatch || !table.timer)
            return error_set(err, UDPTUN_E_INVALID, "loop_table", "loop_table: is not complete");
        loop_init(&e->loop, &table, on_turn, e);
    } else if (config->loop) {
        code = loop_init_ev(&e->loop, config->loop, on_turn, e);
    } else {
        code = loop_init_own(&e->loop, on_turn, e);
    }
    return code < 0 ? error_set(err, code, NULL, "engine: no event loop") : UDPTUN_OK;
}

udptun_engine *udptun_engine_new(const struct udptun_engine_config *given, struct udptun_error *err)
{
    struct udptun_engine *e = NULL;
    struct udptun_engine_config whole;
    const struct udptun_engine_config *config = &whole;
    udptun_engine_config_init(&whole);
    if (!given || !versioned_read(&whole, sizeof whole, given,
                                  VERSIONED_LEAST(struct udptun_engine_config, loop))) {
        error_set(err, UDPTUN_E_INVALID, "size", "size: is not that of a known version");
        return NULL;
    }
    if (sodium_init() < 0) {
        error_set(err, UDPTUN_E_SYSTEM, NULL, "engine: no source of random bytes");
        return NULL;
    }
    e = allocate(config);
    if (!e) {
        error_set(err, UDPTUN_E_NOMEM, NULL, "engine: out of memory");
        return NULL;
    }
    randombytes_buf(e->hash_key, sizeof e->hash_key);
    if (open_loop(e, config, err) < 0) {
        release(e);
        return NULL;
    }
    timer_init(&e->again, &e->loop, on_again, e);
    timer_init(&e->trim, &e->loop, on_trim, e);
    e->network = network_watch_new(&e->loop, on_network_changed, e);
    if (config->loop || config->loop_table || engine_thread_start(e, err) == UDPTUN_OK)
        return e;
    network_watch_free(e->network);
    loop_fini(&e->loop);
    release(e);
    return NULL;
}

static void close_all(void *arg)
{
    struct udptun_engine *e = (struct udptun_engine *)arg;
    engine_refresh(e);
    registry_clear(e);
    while (!list_empty(&e->dead) || !list_empty(&e->notices))
        engine_settle(e);
    front_app_drop_held(e);
    network_watch_free(e->network);
    timer_stop(&e->again);
    timer_stop(&e->trim);
}

void udptun_engine_free(udptun_engine *engine)
{
    if (!engine)
        return;
    engine_call(engine, close_all, engine);
    if (engine->thread)
        engine_thread_stop(engine);
    loop_fini(&engine->loop);
    release(engine);
}

/* ---- the caller's loop ----------------------------------------------------------------------- */

void udptun_engine_ready(udptun_engine *engine, void *token, unsigned events)
{
    loop_ready(&engine->loop, token, events);
}

void udptun_engine_due(udptun_engine *engine)
{
    loop_due(&engine->loop);
}

void udptun_engine_turn(udptun_engine *engine)
{
    loop_turn(&engine->loop);
}
