/* SPDX-License-Identifier: Apache-2.0 */
/* conn.c - one byte stream: its output buffer, its handshake, and frames cut from its input. */
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/error.h"
#include "proto/udpt/internal.h"

enum {
    FIRST_CAPACITY = 2048,
    /* A partial frame's buffer above this is not kept for the next one. */
    PARTIAL_KEEP_SIZE = 4096,
    LAST_WORDS_S = 2,
};

struct udptun_conn *conn_new(struct udptun_machine *m, enum conn_state state)
{
    struct udptun_conn *c = (struct udptun_conn *)calloc(1, sizeof *c);
    struct handshake *handshake = (struct handshake *)malloc(sizeof *handshake);
    if (!c || !handshake) {
        free(c);
        free(handshake);
        return NULL;
    }
    handshake_init(handshake, m->config.has_key, m->config.key);
    c->m = m;
    c->share = &m->share;
    c->state = state;
    c->handshake = handshake;
    c->since_us = m->now_us;
    c->rtt_us = -1;
    c->handshake_until_us = m->now_us + m->config.handshake_ms * MS_US;
    alarm_init(&c->alarm, machine_conn_due);
    conn_wake(c, c->handshake_until_us);
    list_init(&c->in_ready);
    list_init(&c->in_machine);
    list_append(&m->conns, &c->in_machine);
    return c;
}

static void drop_handshake(struct udptun_conn *c)
{
    if (c->handshake)
        handshake_wipe(c->handshake);
    free(c->handshake);
    c->handshake = NULL;
}

struct udptun_conn *udptun_machine_accept(struct udptun_machine *m, const char *peer,
                                          uint64_t now_us)
{
    if (m->stopping || m->config.max_pending == 0)
        return NULL;
    machine_enter(m, now_us);
    if (room_count(m) >= m->config.max_pending) {
        caps_note(m, CAP_HANDSHAKES);
        room_evict(m);
    }
    struct udptun_conn *c = conn_new(m, CONN_AWAIT_HELLO);
    if (c && !room_enter(&m->silent, c)) {
        alarm_stop(&m->alarms, &c->alarm);
        list_remove(&c->in_machine);
        drop_handshake(c);
        free(c);
        c = NULL;
    }
    if (c)
        snprintf(c->peer, sizeof c->peer, "%s", peer);
    machine_leave(m);
    return c;
}

void udptun_conn_set_host(struct udptun_conn *c, void *host)
{
    c->host = host;
}

void *udptun_conn_host(const struct udptun_conn *c)
{
    return c->host;
}

/* Leaves whatever the present state holds; `reason` of the conn is set. */
static void leave_state(struct udptun_conn *c)
{
    enum conn_state state = c->state;
    c->state = CONN_DEAD;
    switch (state) {
    case CONN_DIALLING:
    case CONN_AWAIT_WELCOME:
        client_attempt_ended(c);
        break;
    case CONN_AWAIT_HELLO:
    case CONN_AWAIT_CONFIRM:
        room_leave(state == CONN_AWAIT_HELLO ? &c->m->silent : &c->m->proved, c);
        /* One that came and went without a word is a balancer's check of our health. */
        machine_log(c->m,
                    c->stream_ended && c->rx_bytes == 0 ? UDPTUN_MACHINE_LOG_DEBUG
                                                        : UDPTUN_MACHINE_LOG_WARN,
                    "%s did not join a session: %s", c->peer, c->reason);
        break;
    case CONN_UP:
        leg_detach(c);
        break;
    case CONN_CLOSING:
    case CONN_DEAD:
        break;
    }
    drop_handshake(c);
}

void conn_kill(struct udptun_conn *c, const char *format, ...)
{
    if (c->state == CONN_DEAD)
        return;
    char reason[sizeof c->reason];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    memcpy(c->reason, reason, sizeof reason);
    leave_state(c);
    list_remove(&c->in_ready);
    alarm_stop(&c->m->alarms, &c->alarm);
    list_move(&c->m->dead, &c->in_machine);
}

void conn_finish(struct udptun_conn *c, const char *reason)
{
    if (conn_pending(c) == 0) {
        conn_kill(c, "%s", reason);
        return;
    }
    snprintf(c->reason, sizeof c->reason, "%s", reason);
    leave_state(c);
    c->state = CONN_CLOSING;
    conn_set_session(c, NULL);
    c->handshake_until_us = c->m->now_us + LAST_WORDS_S * S_US;
    conn_wake(c, c->handshake_until_us);
}

void conn_bury(struct udptun_conn *c)
{
    c->m->ops->hangup(c->m->arg, c, c->reason);
    list_remove(&c->in_machine);
    share_give(c->share, c->held);
    free(c->out.data);
    free(c->partials[0].data);
    free(c->partials[1].data);
    free(c);
}

void udptun_conn_lost(struct udptun_conn *c, const char *reason, uint64_t now_us)
{
    struct udptun_machine *m = c->m;
    machine_enter(m, now_us);
    c->stream_ended = true;
    if (c->state == CONN_AWAIT_WELCOME && !*reason)
        conn_kill(c,
                  "closed before the udp-server answered: is it there, and is the key the same?");
    else
        conn_kill(c, "%s", *reason ? reason : "closed by the peer");
    machine_leave(m);
}

/* ---- output --------------------------------------------------------------------------------- */

size_t conn_pending(const struct udptun_conn *c)
{
    return c->out.tail - c->out.head;
}

void conn_count_held(struct udptun_conn *c)
{
    size_t held = c->out.capacity + c->partials[0].capacity + c->partials[1].capacity;
    share_give(c->share, c->held);
    share_take(c->share, held);
    c->held = held;
}

void conn_set_session(struct udptun_conn *c, struct udptun_session *s)
{
    share_give(c->share, c->held);
    c->session = s;
    c->share = s ? &s->share : &c->m->share;
    share_take(c->share, c->held);
}

/* Before it holds `more`. Conns in handshake are few, and what they hold is small. */
static bool may_hold(struct udptun_conn *c, size_t more)
{
    if (!c->session || share_has(c->share, more))
        return true;
    c->m->budget->refused++;
    conn_kill(c, "it holds all the memory that is left for it");
    return false;
}

static bool output_grow(struct udptun_conn *c, size_t size)
{
    struct output *out = &c->out;
    size_t pending = out->tail - out->head;
    /* Moving is cheap while little is left; else twice the room, so that moves stay rare. */
    if (pending + size <= out->capacity && pending <= out->capacity / 4) {
        memmove(out->data, out->data + out->head, pending);
    } else {
        size_t capacity = out->capacity ? out->capacity : FIRST_CAPACITY;
        while (capacity < pending + size)
            capacity *= 2;
        if (!may_hold(c, capacity - out->capacity))
            return false;
        uint8_t *data = (uint8_t *)malloc(capacity);
        if (!data)
            return false;
        if (pending)
            memcpy(data, out->data + out->head, pending);
        free(out->data);
        out->data = data;
        out->capacity = capacity;
        conn_count_held(c);
    }
    out->head = 0;
    out->tail = pending;
    return true;
}

uint8_t *conn_reserve(struct udptun_conn *c, size_t size)
{
    struct output *out = &c->out;
    if (out->capacity - out->tail < size) {
        if (conn_pending(c) + size > OUTPUT_MAX_SIZE) {
            conn_kill(c, "the peer does not read");
            return NULL;
        }
        if (!output_grow(c, size)) {
            conn_kill(c, "out of memory");
            return NULL;
        }
    }
    return out->data + out->tail;
}

void conn_commit(struct udptun_conn *c, size_t size)
{
    c->out.tail += size;
    c->last_tx_us = c->m->now_us;
    if (!c->handed_out && list_empty(&c->in_ready))
        list_append(&c->m->ready, &c->in_ready);
}

int udptun_conn_output(struct udptun_conn *c, struct udptun_span spans[2])
{
    if (conn_pending(c) == 0)
        return 0;
    spans[0] = (struct udptun_span){c->out.data + c->out.head, conn_pending(c)};
    return 1;
}

void udptun_conn_sent(struct udptun_conn *c, size_t size, uint64_t now_us)
{
    struct udptun_machine *m = c->m;
    machine_enter(m, now_us);
    c->out.head += size;
    c->tx_bytes += size;
    if (c->out.head == c->out.tail) {
        c->out.head = c->out.tail = 0;
        c->handed_out = false;
        if (c->state == CONN_CLOSING) {
            /* ops.hangup must not run inside this function. */
            c->handshake_until_us = m->now_us;
            conn_wake(c, m->now_us);
        }
    }
    if (c->leaving)
        conn_wake(c, m->now_us);
    if (c->state == CONN_UP)
        queue_unblocked(c);
    m->depth--; /* not machine_leave(): nothing is buried here, the next call does it */
    if (!list_empty(&m->dead))
        m->bury_us = m->now_us;
}

/* ---- handshake ------------------------------------------------------------------------------ */

bool conn_send_hello(struct udptun_conn *c)
{
    struct udptun_machine *m = c->m;
    const struct udptun_machine_config *config = &m->config;
    struct hello hello = {
        .version_low = config->min_version,
        .version_high = UDPT_VERSION_MOST,
        .leg = (uint8_t)c->leg,
        .generation = c->generation,
        .client_incarnation = c->session->client_incarnation,
        .params = {.heartbeat_ms = config->heartbeat_ms,
                   .dead_ms = config->dead_ms,
                   .flow_timeout_ms = config->flow_timeout_ms,
                   .max_queue_delay_ms = config->max_queue_delay_ms,
                   .redundancy = config->redundancy,
                   .redundancy_max_size = config->redundancy_max_size,
                   .settings_serial = c->session->settings_serial},
    };
    c->settings_serial = c->session->settings_serial;
    memcpy(hello.session, c->session->id, sizeof hello.session);
    uint8_t random[UDPT_SHARE_SIZE];
    machine_random(m, random, sizeof random);
    handshake_share(c->handshake, random, hello.nonce);
    sodium_memzero(random, sizeof random);
    uint8_t *to = conn_reserve(c, HANDSHAKE_MAX_SIZE);
    if (!to)
        return false;
    conn_commit(c, handshake_put_hello(c->handshake, &hello, to));
    return true;
}

void udptun_conn_opened(struct udptun_conn *c, uint64_t now_us)
{
    struct udptun_machine *m = c->m;
    machine_enter(m, now_us);
    if (c->state == CONN_DIALLING) {
        c->state = CONN_AWAIT_WELCOME;
        conn_send_hello(c);
    }
    machine_leave(m);
}

static void handshake_message(struct udptun_conn *c, const uint8_t *data, size_t size)
{
    bool refused = false;
    struct refuse refuse;
    enum handshake_result result;
    if (c->state == CONN_AWAIT_CONFIRM) {
        server_confirm(c, data, size);
        return;
    }
    if (c->state == CONN_AWAIT_HELLO)
        result = handshake_get_hello(c->handshake, data, size);
    else
        result = handshake_get_answer(c->handshake, data, size, &refused, &refuse);
    if (result == HANDSHAKE_MALFORMED)
        conn_kill(c, "its handshake is malformed");
    else if (result == HANDSHAKE_UNPROVEN)
        conn_kill(c, "handshake authentication failed (wrong key?)");
    else if (c->state == CONN_AWAIT_HELLO)
        server_hello(c);
    else if (refused) {
        client_refused(c, refuse.reason);
        conn_kill(c, "refused by the udp-server: %s", refuse.text);
    } else
        client_welcomed(c);
}

/* ---- input ---------------------------------------------------------------------------------- */

/* What stands at the start of `data`; `*size` of the whole as far as it is known, else 0. Whole:
 * it has been dealt with. */
static enum frame_result take_unit(struct udptun_conn *c, const uint8_t *data, size_t available,
                                   size_t *size)
{
    if (c->state != CONN_UP) {
        if (!handshake_message_size(data, available, size)) {
            conn_kill(c, "not a UDPT handshake");
            return FRAME_BROKEN;
        }
        if (*size == 0 || available < *size)
            return FRAME_PARTIAL;
        handshake_message(c, data, *size);
        return FRAME_WHOLE;
    }
    uint64_t id;
    struct reader body;
    enum frame_result result = frame_parse(data, available, &id, &body, size);
    if (result == FRAME_WHOLE && !leg_frame(c, id, &body, *size))
        result = FRAME_BROKEN;
    if (result == FRAME_BROKEN && c->state != CONN_DEAD)
        conn_kill(c, "it sent a broken frame");
    return result;
}

/* False: the conn is dead now. */
static bool partial_append(struct udptun_conn *c, struct partial *p, const uint8_t *data,
                           size_t size)
{
    if (p->capacity < p->size + size) {
        if (!may_hold(c, p->size + size - p->capacity))
            return false;
        uint8_t *grown = (uint8_t *)realloc(p->data, p->size + size);
        if (!grown) {
            conn_kill(c, "out of memory");
            return false;
        }
        p->data = grown;
        p->capacity = p->size + size;
        conn_count_held(c);
    }
    memcpy(p->data + p->size, data, size);
    p->size += size;
    return true;
}

static bool reads(const struct udptun_conn *c)
{
    return c->state != CONN_DEAD && c->state != CONN_CLOSING;
}

/* Completes what the last input left unfinished. Returns how many bytes it took. */
static size_t finish_partial(struct udptun_conn *c, const uint8_t *data, size_t size)
{
    struct partial *p = &c->partials[c->partial_index];
    size_t used = 0;
    while (p->size > 0 && used < size && reads(c)) {
        size_t whole = 0;
        enum frame_result result = take_unit(c, p->data, p->size, &whole);
        if (result == FRAME_BROKEN)
            break;
        /* Until the length is known it is a matter of a byte more. */
        size_t missing = whole > p->size ? whole - p->size : 1;
        if (missing > size - used)
            missing = size - used;
        if (!partial_append(c, p, data + used, missing))
            break;
        used += missing;
        if (whole == 0 || p->size < whole)
            continue;
        take_unit(c, p->data, p->size, &whole);
        p->size = 0;
        c->partial_index ^= 1; /* its bytes stay until the next input */
    }
    return used;
}

bool udptun_conn_input(struct udptun_conn *c, const uint8_t *data, size_t size, uint64_t now_us)
{
    struct udptun_machine *m = c->m;
    machine_enter(m, now_us);
    c->rx_bytes += size;
    c->last_rx_us = m->now_us;
    struct partial *spent = &c->partials[c->partial_index ^ 1];
    if (spent->capacity > PARTIAL_KEEP_SIZE) {
        free(spent->data);
        *spent = (struct partial){0};
        conn_count_held(c);
    }
    size_t used = finish_partial(c, data, size);
    while (used < size && reads(c)) {
        size_t whole;
        enum frame_result result = take_unit(c, data + used, size - used, &whole);
        if (result == FRAME_WHOLE) {
            used += whole;
        } else {
            if (result == FRAME_PARTIAL)
                partial_append(c, &c->partials[c->partial_index], data + used, size - used);
            break;
        }
    }
    bool alive = c->state != CONN_DEAD;
    machine_leave(m);
    return alive;
}
