/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - control frames: building them, and acting on those of the far end. */
#include <stdio.h>

#include "proto/error.h"
#include "proto/udpt/internal.h"

/* ---- out ------------------------------------------------------------------------------------- */

void control_send(struct udptun_conn *c, const uint8_t *body, size_t size)
{
    uint8_t *to = conn_reserve(c, 12 + size);
    if (!to)
        return;
    size_t head = frame_put_header(to, FRAME_CONTROL, size);
    memcpy(to + head, body, size);
    conn_commit(c, head + size);
    leg_count_sent(c, head + size);
}

static struct writer control_begin(uint8_t body[FRAME_MAX_CONTROL], enum control_type type)
{
    struct writer w = writer_of(body, FRAME_MAX_CONTROL);
    writer_varint(&w, type);
    return w;
}

/* On the leg of session_speaker(); while there is none the frame is not sent, and what must not be
 * lost is said again by session_leg_up(). */
static void control_end(struct udptun_session *s, const struct writer *w)
{
    struct udptun_conn *c = session_speaker(s);
    if (c && !s->ending && !w->failed)
        control_send(c, w->start, writer_size(w));
}

void control_token(struct udptun_conn *c, enum control_type type, uint64_t token)
{
    uint8_t body[16];
    struct writer w = writer_of(body, sizeof body);
    writer_varint(&w, type);
    writer_u64(&w, token);
    control_send(c, body, writer_size(&w));
}

void control_id(struct udptun_session *s, enum control_type type, uint64_t id)
{
    uint8_t body[FRAME_MAX_CONTROL];
    struct writer w = control_begin(body, type);
    writer_varint(&w, id);
    control_end(s, &w);
}

void control_announce(struct udptun_session *s, uint64_t id, const struct peer *p)
{
    uint8_t body[FRAME_MAX_CONTROL];
    struct writer w = control_begin(body, CONTROL_ANNOUNCE);
    writer_varint(&w, id);
    writer_u8(&w, s->tx_ids.slots[p->tx_id - 1].sequenced ? ANNOUNCE_SEQUENCE : 0);
    writer_varint(&w, p->binding->id);
    frame_put_address(&w, &p->dest);
    control_end(s, &w);
}

void control_open(struct udptun_binding *b)
{
    uint8_t body[FRAME_MAX_CONTROL];
    struct writer w = control_begin(body, CONTROL_OPEN);
    writer_varint(&w, b->id);
    writer_u64(&w, b->label);
    writer_u16(&w, b->external4.port);
    writer_u16(&w, b->external6.port);
    control_end(b->session, &w);
}

void control_opened(struct udptun_binding *b, const struct udptun_endpoint *external)
{
    uint8_t body[FRAME_MAX_CONTROL];
    struct udptun_dest dest = udptun_dest_of(external);
    struct writer w = control_begin(body, CONTROL_OPENED);
    writer_varint(&w, b->id);
    frame_put_address(&w, &dest);
    control_end(b->session, &w);
}

void control_close(struct udptun_session *s, uint64_t binding, enum udptun_close_reason reason)
{
    uint8_t body[FRAME_MAX_CONTROL];
    struct writer w = control_begin(body, CONTROL_CLOSE);
    writer_varint(&w, binding);
    writer_varint(&w, reason);
    control_end(s, &w);
}

void control_error(struct udptun_binding *b, const struct udptun_dest *dest,
                   enum udptun_machine_error code, uint32_t value)
{
    uint8_t body[FRAME_MAX_CONTROL];
    struct writer w = control_begin(body, CONTROL_ERROR);
    writer_varint(&w, b->id);
    writer_varint(&w, code);
    writer_varint(&w, value);
    frame_put_address(&w, dest);
    control_end(b->session, &w);
}

void control_goodbye(struct udptun_conn *c, enum goodbye_reason reason, const char *text)
{
    uint8_t body[FRAME_MAX_CONTROL];
    struct writer w = control_begin(body, CONTROL_GOODBYE);
    writer_varint(&w, reason);
    writer_bytes(&w, text, strlen(text));
    control_send(c, body, writer_size(&w));
}

void control_settings(struct udptun_session *s)
{
    const struct udptun_machine_config *config = &s->m->config;
    const struct udpt_params params = {.heartbeat_ms = config->heartbeat_ms,
                                       .dead_ms = config->dead_ms,
                                       .flow_timeout_ms = config->flow_timeout_ms,
                                       .max_queue_delay_ms = config->max_queue_delay_ms,
                                       .redundancy = config->redundancy,
                                       .redundancy_max_size = config->redundancy_max_size,
                                       .settings_serial = s->settings_serial};
    uint8_t body[FRAME_MAX_CONTROL];
    struct writer w = control_begin(body, CONTROL_SETTINGS);
    params_put(&w, &params);
    s->params.heartbeat_ms = params.heartbeat_ms;
    s->params.dead_ms = params.dead_ms;
    control_end(s, &w);
}

/* Said on another leg: the leg's own stream may be the slow one. */
void control_leave(struct udptun_conn *c)
{
    uint8_t body[FRAME_MAX_CONTROL];
    struct writer w = control_begin(body, CONTROL_LEAVE);
    writer_varint(&w, c->leg);
    writer_varint(&w, c->generation);
    control_end(c->session, &w);
}

/* The client already reads frames, so this is one too, though the conn carries no leg. */
void control_refused(struct udptun_conn *c, enum refuse_reason reason)
{
    uint8_t body[FRAME_MAX_CONTROL];
    struct writer w = control_begin(body, CONTROL_REFUSED);
    writer_varint(&w, reason);
    control_send(c, body, writer_size(&w));
}

/* ---- in -------------------------------------------------------------------------------------- */

static bool heard_ack(struct udptun_conn *c, struct reader *r)
{
    struct udptun_session *s = c->session;
    uint64_t count = reader_varint(r);
    if (count > UDPTUN_MACHINE_MAX_LEGS)
        return false;
    for (uint64_t i = 0; i < count && !r->failed; i++) {
        uint64_t leg = reader_varint(r);
        uint64_t generation = reader_varint(r);
        uint64_t received = reader_varint(r);
        uint64_t delay_us = reader_varint(r);
        if (r->failed || leg >= UDPTUN_MACHINE_MAX_LEGS)
            return false;
        struct udptun_conn *acked = s->legs[leg].conn;
        if (!acked || acked->generation != generation)
            continue;
        if (acked == c && received > c->answered_here)
            c->answered_here = received;
        leg_acked(acked, received, delay_us);
    }
    credit_acked_all(&s->credit, s->m->now_us);
    closing_flush(s);
    queue_pump_all(s); /* there is credit again */
    route_want_flush(s);
    return reader_done(r);
}

static bool heard_announce(struct udptun_conn *c, struct reader *r)
{
    struct udptun_session *s = c->session;
    bool local = s->m->config.role == UDPTUN_MACHINE_LOCAL;
    uint64_t id = reader_varint(r);
    uint8_t flags = reader_u8(r);
    uint64_t binding = reader_varint(r);
    struct udptun_dest dest;
    frame_get_address(r, &dest);
    if (!reader_done(r) || id < FRAME_FIRST_ANNOUNCED || id >= FRAME_ID_LIMIT ||
        (id % 2 == 1) != local || flags & ~ANNOUNCE_SEQUENCE || binding == 0 ||
        (local && dest.ep.family == UDPTUN_ENDPOINT_NAME))
        return false;
    struct udptun_binding *b = binding_find(s, binding);
    if (b) /* else it has ended, and CLOSE is under way */
        announce_heard(s, id, flags, b, &dest);
    return true;
}

static bool heard_open(struct udptun_conn *c, struct reader *r)
{
    struct udptun_session *s = c->session;
    uint64_t binding = reader_varint(r);
    uint64_t label = reader_u64(r);
    uint16_t port4 = reader_u16(r);
    uint16_t port6 = reader_u16(r);
    if (!reader_done(r) || binding == 0 || s->m->config.role == UDPTUN_MACHINE_LOCAL)
        return false;
    struct udptun_binding *b = binding_find(s, binding);
    if (b)
        binding_tell_external(b);
    else if (!binding_has_ended(s, binding))
        binding_remote(s, binding, label, 0, port4, port6);
    return true;
}

static bool heard_opened(struct udptun_conn *c, struct reader *r)
{
    struct udptun_session *s = c->session;
    uint64_t binding = reader_varint(r);
    struct udptun_dest dest;
    frame_get_address(r, &dest);
    if (!reader_done(r) || dest.ep.family == UDPTUN_ENDPOINT_NAME ||
        s->m->config.role != UDPTUN_MACHINE_LOCAL)
        return false;
    struct udptun_binding *b = binding_find(s, binding);
    if (!b)
        return true;
    struct udptun_endpoint *external =
        dest.ep.family == UDPTUN_ENDPOINT_IP4 ? &b->external4 : &b->external6;
    if (external->family != UDPTUN_ENDPOINT_NONE && external->port != dest.ep.port)
        machine_log(s->m, UDPTUN_MACHINE_LOG_WARN,
                    "flow moved to external port %u: port %u is no longer available", dest.ep.port,
                    external->port);
    *external = dest.ep;
    b->confirmed = true;
    b->awaits_port = false;
    if (b->queue_first) { /* it alone: the others may be many */
        queue_route(b);
        queue_pump_all(s);
    }
    return true;
}

static bool heard_close(struct udptun_conn *c, struct reader *r)
{
    struct udptun_session *s = c->session;
    uint64_t binding = reader_varint(r);
    uint64_t reason = reader_varint(r);
    if (!reader_done(r))
        return false;
    struct udptun_binding *b = binding_find(s, binding);
    if (b)
        binding_free(b, reason == UDPTUN_CLOSE_LIMIT ? UDPTUN_CLOSE_LIMIT : UDPTUN_CLOSE_PEER,
                     false);
    else if (binding != 0 && binding <= s->highest_binding + ENDED_AHEAD)
        binding_end(s, binding); /* CLOSE may have overtaken the first datagram */
    control_id(s, CONTROL_CLOSED, binding);
    return true;
}

static bool heard_error(struct udptun_conn *c, struct reader *r)
{
    struct udptun_session *s = c->session;
    struct udptun_machine *m = s->m;
    uint64_t binding = reader_varint(r);
    uint64_t code = reader_varint(r);
    uint64_t value = reader_varint(r);
    struct udptun_dest dest;
    frame_get_address(r, &dest);
    if (!reader_done(r) || m->config.role != UDPTUN_MACHINE_LOCAL)
        return false;
    struct udptun_binding *b = binding_find(s, binding);
    if (!b || code < UDPTUN_MACHINE_PORT_UNREACHABLE || code > UDPTUN_MACHINE_LIMIT)
        return true;
    if (code != UDPTUN_MACHINE_TOO_BIG) /* which may have been sent: the host knows whom it tells */
        binding_count_error(b, (enum udptun_machine_error)code);
    m->ops->error(m->arg, b, &dest, (enum udptun_machine_error)code,
                  value > UINT32_MAX ? 0 : (uint32_t)value);
    return true;
}

/* A text of the far end's, made fit for a log. */
static void printable(struct reader *r, char *to, size_t size)
{
    size_t used = 0;
    while (reader_left(r) > 0 && used + 1 < size) {
        uint8_t byte = reader_u8(r);
        to[used++] = byte >= ' ' && byte <= '~' ? (char)byte : '?';
    }
    to[used] = '\0';
}

static bool heard_goodbye(struct udptun_conn *c, struct reader *r)
{
    struct udptun_session *s = c->session;
    char text[HANDSHAKE_TEXT_SIZE];
    uint64_t reason = reader_varint(r);
    printable(r, text, sizeof text);
    if (r->failed)
        return false;
    if (reason == GOODBYE_BACK_SOON)
        session_drop_legs(s, text);
    else if (s->m->config.role == UDPTUN_MACHINE_LOCAL)
        client_session_lost(s, text);
    else
        session_end(s, text);
    return true;
}

static bool heard_refused(struct udptun_conn *c, struct reader *r)
{
    struct udptun_machine *m = c->m;
    uint64_t reason = reader_varint(r);
    if (!reader_done(r) || m->config.role != UDPTUN_MACHINE_LOCAL)
        return false;
    client_refused(c, reason);
    conn_kill(c, "refused by the udp-server: %s", refuse_text(reason));
    return true;
}

static bool heard_leave(struct udptun_conn *c, struct reader *r)
{
    struct udptun_session *s = c->session;
    uint64_t leg = reader_varint(r);
    uint64_t generation = reader_varint(r);
    if (!reader_done(r) || leg == CONTROL_LEG || leg >= UDPTUN_MACHINE_MAX_LEGS ||
        s->m->config.role == UDPTUN_MACHINE_LOCAL)
        return false;
    struct udptun_conn *leaving = s->legs[leg].conn;
    if (leaving && leaving->generation == generation) {
        leaving->leaving = true;
        queue_reroute(s, leaving);
        conn_wake(leaving, s->m->now_us);
    }
    return true;
}

static bool heard_clock(struct udptun_conn *c, struct reader *r)
{
    age_heard(c, reader_u32(r));
    return reader_done(r);
}

static bool heard_settings(struct udptun_conn *c, struct reader *r)
{
    struct udpt_params params;
    params_get(r, &params);
    if (r->failed)
        return false;
    if (c->session->m->config.role ==
        UDPTUN_MACHINE_LOCAL) /* what it uses is for the client to say */
        return true;
    if (server_is_older(c->session, &params))
        return true;
    server_agree(c->session, &params);
    route_update(c->session); /* copies take legs of their own */
    return true;
}

/* Of a frame that belongs on the control leg: its sender has none. */
static void heard_beside_control(struct udptun_conn *c)
{
    if (c->leg != CONTROL_LEG && c->session->m->config.role == UDPTUN_MACHINE_SERVER)
        session_go_without_control(c->session);
}

bool control_frame(struct udptun_conn *c, struct reader *r)
{
    struct udptun_session *s = c->session;
    if (reader_left(r) > FRAME_MAX_CONTROL)
        return false;
    uint64_t type = reader_varint(r);
    if (type >= CONTROL_ANNOUNCE && type <= CONTROL_SETTINGS)
        heard_beside_control(c);
    uint64_t value;
    switch (type) {
    case CONTROL_CLOCK:
        return heard_clock(c, r);
    case CONTROL_ACK:
        return heard_ack(c, r);
    case CONTROL_PING:
    case CONTROL_PONG:
        value = reader_u64(r);
        if (!reader_done(r))
            return false;
        if (type == CONTROL_PING)
            control_token(c, CONTROL_PONG, value);
        else
            leg_pong(c, value);
        return true;
    case CONTROL_ANNOUNCE:
        return heard_announce(c, r);
    case CONTROL_ANNOUNCED:
    case CONTROL_RETIRE:
    case CONTROL_RETIRED:
    case CONTROL_CLOSED:
        value = reader_varint(r);
        if (!reader_done(r))
            return false;
        if (type == CONTROL_ANNOUNCED)
            announce_acked(s, value);
        else if (type == CONTROL_RETIRE)
            announce_retire_heard(s, value);
        else if (type == CONTROL_RETIRED)
            announce_retired(s, value);
        else
            closing_acked(s, value);
        return true;
    case CONTROL_OPEN:
        return heard_open(c, r);
    case CONTROL_OPENED:
        return heard_opened(c, r);
    case CONTROL_CLOSE:
        return heard_close(c, r);
    case CONTROL_ERROR:
        return heard_error(c, r);
    case CONTROL_SETTINGS:
        return heard_settings(c, r);
    case CONTROL_LEAVE:
        return heard_leave(c, r);
    case CONTROL_GOODBYE:
        return heard_goodbye(c, r);
    case CONTROL_REFUSED:
        return heard_refused(c, r);
    }
    return !r->failed && type % 2 == 1;
}
