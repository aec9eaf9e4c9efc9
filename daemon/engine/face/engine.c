/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c - libudptun's engine: one event loop and the tunnels on it.
 *
 * Theory of operation
 *
 * A turn of the loop is: the clock is read once (ev_check, first of all), watchers run and call
 * into the protocol machines, and at the end (ev_prepare, before the loop blocks again) every
 * tunnel that was touched writes what has come of it, one gathered write per stream over all its
 * flows, and sets its timer. Batching thus comes from what was ready, never from waiting.
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
#include <time.h>

#include "daemon/engine/core/core.h"
#include "daemon/engine/core/notices.h"
#include "daemon/engine/core/registry.h"
#include "daemon/engine/local/front_app.h"
#include "daemon/engine/server/egress.h"
#include "daemon/engine/tunnel/carrier.h"
#include "daemon/platform/netwatch.h"
#include "daemon/platform/sockaddr.h"
#include "daemon/platform/udp_io.h"
#include "proto/error.h"
#include "proto/version.h"
#include "proto/versioned.h"

#include <errno.h>

/* Rounds of a turn until the loop gets its chance again. */
enum { MAX_ROUNDS = 16 };

static const double trim_after_s = 1.;

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

static void on_opened(void *arg, int fd)
{
    own_sockets_add(&((struct udptun_engine *)arg)->own, fd);
}

void engine_fill_rules(struct udptun_engine *e, struct socket_rules *rules)
{
    rules->protect = e->config.protect;
    rules->protect_arg = e->config.arg;
    rules->opened = on_opened;
    rules->opened_arg = e;
}

/* One that goes on while the machine sleeps, as Linux's CLOCK_MONOTONIC does not: else what is sent
 * afterwards would be as late for the far end as the sleep was long. */
#ifdef CLOCK_BOOTTIME
#define ENGINE_CLOCK CLOCK_BOOTTIME
#else
#define ENGINE_CLOCK CLOCK_MONOTONIC
#endif

void engine_refresh(struct udptun_engine *e)
{
    struct timespec now;
    clock_gettime(ENGINE_CLOCK, &now);
    e->now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
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
    if (!ev_is_active(&e->again))
        ev_timer_start(e->loop, &e->again);
}

static void end_turn(struct udptun_engine *e)
{
    for (int round = 0; round < MAX_ROUNDS && !idle(e); round++) {
        front_app_send_held(e);
        stream_app_settle(e);
        flush_dirty(e);
        engine_settle(e);
    }
    if (!idle(e))
        engine_turn_again(e);
    if (e->batch_used && !ev_is_active(&e->trim))
        ev_timer_start(e->loop, &e->trim);
}

static void on_turn_start(struct ev_loop *loop, ev_check *watcher, int events)
{
    (void)loop;
    (void)events;
    engine_refresh((struct udptun_engine *)watcher->data);
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)loop;
    (void)events;
    end_turn((struct udptun_engine *)watcher->data);
}

/* Nothing to do but to have woken the loop. */
static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

/* Called a second after datagrams came; when none did since, the burst is over. */
static void on_trim(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct udptun_engine *e = (struct udptun_engine *)timer->data;
    if (!e->batch_used) {
        udp_batch_trim(e->batch);
        return;
    }
    e->batch_used = false;
    ev_timer_set(timer, trim_after_s, 0.);
    ev_timer_start(loop, timer);
}

/* ---- life ---------------------------------------------------------------------------------------
 */

static void on_unsent(void *arg, void *tag, const struct endpoint *dest, size_t size, int sys_errno)
{
    (void)arg;
    (void)size;
    struct flow_head *head = (struct flow_head *)tag;
    if (head->tunnel->server)
        egress_unsent((struct egress *)tag, dest, sys_errno);
    else
        udpt_count_drop(head->tunnel->machine, head->binding,
                        sys_errno == EMSGSIZE ? UDPT_DROP_OVERSIZE : UDPT_DROP_QUEUE);
}

static void init_watchers(struct udptun_engine *e)
{
    ev_check_init(&e->turn_start, on_turn_start);
    ev_set_priority(&e->turn_start, EV_MAXPRI);
    ev_prepare_init(&e->turn_end, on_turn_end);
    ev_timer_init(&e->again, on_again, 0., 0.);
    ev_timer_init(&e->trim, on_trim, trim_after_s, 0.);
    e->turn_start.data = e;
    e->turn_end.data = e;
    e->trim.data = e;
}

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
    own_sockets_init(&e->own);
    e->sender = udp_sender_new(on_unsent, e);
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
    engine_refresh(e);
    init_watchers(e);
    e->loop = config->loop ? config->loop : ev_loop_new(EVFLAG_AUTO);
    if (!e->loop) {
        error_set(err, UDPTUN_E_SYSTEM, NULL, "engine: no event loop");
        release(e);
        return NULL;
    }
    ev_check_start(e->loop, &e->turn_start);
    ev_prepare_start(e->loop, &e->turn_end);
    e->netwatch = netwatch_new(e->loop, on_network_changed, e);
    if (config->loop || engine_thread_start(e, err) == UDPTUN_OK)
        return e;
    netwatch_free(e->netwatch);
    ev_loop_destroy(e->loop);
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
    netwatch_free(e->netwatch);
    ev_check_stop(e->loop, &e->turn_start);
    ev_prepare_stop(e->loop, &e->turn_end);
    ev_timer_stop(e->loop, &e->again);
    ev_timer_stop(e->loop, &e->trim);
}

void udptun_engine_free(udptun_engine *engine)
{
    if (!engine)
        return;
    engine_call(engine, close_all, engine);
    if (engine->thread) {
        engine_thread_stop(engine);
        ev_loop_destroy(engine->loop);
    }
    release(engine);
}
