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
 * udptun_conn_input() flushes the sender before it reads again.
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
#include "daemon/engine/local/udp_local.h"
#include "daemon/engine/server/udp_server.h"
#include "daemon/engine/tunnel/carrier.h"
#include "daemon/platform/datagram.h"
#include "daemon/platform/memory.h"
#include "daemon/platform/names.h"
#include "daemon/platform/network.h"
#include "proto/error.h"
#include "proto/versioned.h"

/* What the end of a turn writes, in this order. */
static turn_flush *const flushes[] = {front_app_send_held, carrier_app_settle, tunnels_flush, NULL};

/* By enum udptun_role. */
static const struct role_ops *const roles[] = {
    [UDPTUN_LOCAL] = &udp_local_role, [UDPTUN_SERVER] = &udp_server_role};

/* ---- life ---------------------------------------------------------------------------------------
 */

static void on_network_changed(void *arg)
{
    struct udptun_engine *e = (struct udptun_engine *)arg;
    LIST_FOREACH (node, &e->entries) {
        struct entry *o = list_entry(node, struct entry, node);
        o->kind->network_changed(o);
    }
    path_guards_look(&e->paths);
    if (e->config.network_changed)
        e->config.network_changed(e->config.arg);
}

/* What a free() does to all that engine_new() may have got, loop and thread aside. */
static void engine_release(struct udptun_engine *e)
{
    udp_sender_free(e->sender);
    own_sockets_fini(&e->own);
    if (e->batch)
        udp_batch_free(e->batch);
    hosts_free(e->hosts);
    free(e->read_buffer);
    sodium_memzero(e->hash_key, sizeof e->hash_key);
    free(e);
}

enum { LEAST_BUFFERS = 1 << 20, MOST_BUFFERS = 256 << 20 };

static uint64_t buffer_limit(const struct udptun_engine_config *config)
{
    uint64_t quarter = memory_available() / 4;
    if (config->max_buffer_bytes != UDPTUN_DEFAULT)
        return (uint64_t)config->max_buffer_bytes;
    if (quarter == 0 || quarter > MOST_BUFFERS)
        return MOST_BUFFERS;
    return quarter < LEAST_BUFFERS ? LEAST_BUFFERS : quarter;
}

static struct udptun_engine *engine_allocate(const struct udptun_engine_config *config)
{
    struct udptun_engine *e = (struct udptun_engine *)calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->config = *config;
    e->buffers.limit = buffer_limit(config);
    e->flushes = flushes;
    e->roles = roles;
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
    e->hosts = hosts_new();
    e->read_buffer = (uint8_t *)malloc(ENGINE_READ_SIZE);
    if (e->sender && e->batch && e->hosts && e->read_buffer)
        return e;
    engine_release(e);
    return NULL;
}

void udptun_engine_config_init_sized(struct udptun_engine_config *config, size_t size)
{
    const struct udptun_engine_config defaults = {.size = sizeof defaults,
                                                  .max_buffer_bytes = UDPTUN_DEFAULT};
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
        loop_init(&e->loop, &table, engine_turn, e);
    } else if (config->loop) {
        code = loop_init_ev(&e->loop, config->loop, engine_turn, e);
    } else {
        code = loop_init_own(&e->loop, engine_turn, e);
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
    if (config->max_buffer_bytes != UDPTUN_DEFAULT && config->max_buffer_bytes < LEAST_BUFFERS) {
        error_set(err, UDPTUN_E_INVALID, "maxBufferBytes", "maxBufferBytes: must be at least %d",
                  LEAST_BUFFERS);
        return NULL;
    }
    if (sodium_init() < 0) {
        error_set(err, UDPTUN_E_SYSTEM, NULL, "engine: no source of random bytes");
        return NULL;
    }
    e = engine_allocate(config);
    if (!e) {
        error_set(err, UDPTUN_E_NOMEM, NULL, "engine: out of memory");
        return NULL;
    }
    randombytes_buf(e->hash_key, sizeof e->hash_key);
    if (open_loop(e, config, err) < 0) {
        engine_release(e);
        return NULL;
    }
    turns_start(e);
    path_guards_init(&e->paths, &e->loop);
    e->network = network_watch_new(&e->loop, on_network_changed, e);
    e->paths.is_told = e->network != NULL;
    if (config->loop || config->loop_table || engine_thread_start(e, err) == UDPTUN_OK)
        return e;
    network_watch_free(e->network);
    loop_fini(&e->loop);
    engine_release(e);
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
    turns_stop(e);
    path_guards_fini(&e->paths);
}

void udptun_engine_free(udptun_engine *engine)
{
    if (!engine)
        return;
    engine_call(engine, close_all, engine);
    if (engine->thread)
        engine_thread_stop(engine);
    loop_fini(&engine->loop);
    engine_release(engine);
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
