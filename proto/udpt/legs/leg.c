/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leg.c - a stream as part of a session: liveness, acknowledgements, round-trip time.
 *
 * Each end counts the bytes of the frames that it wrote on a leg, ACK frames left out, and hears
 * from the other how many of them arrived. That alone tells whether the far end lives: a proxy
 * between the two accepts and acknowledges TCP whatever happens behind it. Acknowledgements ride
 * on data that goes out anyway; one of its own goes out after ACK_DELAY_US or ACK_SIZE.
 */
#include <stdlib.h>

#include "proto/error.h"
#include "proto/udpt/internal.h"

/* A mark a millisecond at most: age needs no better resolution. */
#define MARK_STEP_US MS_US
/* Output memory above this is given back when the leg is idle. */
#define OUTPUT_KEEP_SIZE 16384
/* Wire tokens of heartbeats; those of udptun_machine_ping() count up from 1. */
#define HEARTBEAT_TOKEN (UINT64_C(1) << 63)

void leg_attach(struct udptun_conn *c)
{
    struct leg *leg = &c->session->legs[c->leg];
    c->state = CONN_UP;
    handshake_wipe(c->handshake);
    free(c->handshake);
    c->handshake = NULL;
    c->last_rx_us = c->m->now_us;
    leg->conn = c;
    leg->generation = c->generation;
    session_leg_up(c->session, c);
    conn_wake(c, c->m->now_us);
}

void leg_detach(struct udptun_conn *c)
{
    struct udptun_session *s = c->session;
    if (s->legs[c->leg].conn == c)
        s->legs[c->leg].conn = NULL;
    session_leg_down(s, c);
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Room for more marks: two become one. */
static void merge_marks(struct udptun_conn *c)
{
    for (unsigned i = 0; i < MARKS / 2; i++) {
        const struct mark *a = &c->marks[(c->mark_first + 2 * i) % MARKS];
        const struct mark *b = &c->marks[(c->mark_first + 2 * i + 1) % MARKS];
        c->marks[(c->mark_first + i) % MARKS] =
            (struct mark){.counted = b->counted, .time_us = a->time_us, .last_us = b->last_us};
    }
    c->mark_count = MARKS / 2;
}

void leg_count_sent(struct udptun_conn *c, size_t size)
{
    uint64_t now_us = c->m->now_us;
    if (!c->session) /* the refusal of one that never became a leg */
        return;
    c->tx_counted += size;
    c->ack_last = false;
    credit_sent(&c->session->credit, c, c->tx_counted, size, now_us);
    if (c->probe_end == 0) {
        c->probe_start = c->tx_counted - size;
        c->probe_end = c->tx_counted;
        c->probe_us = now_us;
    }
    struct mark *last = &c->marks[(c->mark_first + c->mark_count + MARKS - 1) % MARKS];
    if (c->mark_count > 0 && now_us < last->time_us + MARK_STEP_US) {
        last->counted = c->tx_counted;
        last->last_us = now_us;
        return;
    }
    if (c->mark_count == MARKS)
        merge_marks(c);
    if (c->mark_count == 0)
        conn_wake(c, now_us + STUCK_MIN_US);
    c->marks[(c->mark_first + c->mark_count++) % MARKS] =
        (struct mark){.counted = c->tx_counted, .time_us = now_us, .last_us = now_us};
}

void leg_send_clock(struct udptun_conn *c, uint64_t since_us)
{
    uint64_t last_us = c->last_clock_us;
    uint64_t step_us = since_us > last_us ? since_us - last_us : last_us - since_us;
    if (last_us != 0 && step_us < CLOCK_STEP_US)
        return;
    c->last_clock_us = since_us;
    uint8_t body[8];
    struct writer w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_CLOCK);
    writer_u32(&w, (uint32_t)(since_us / MS_US));
    control_send(c, body, writer_size(&w));
}

void leg_send_acks(struct udptun_session *s, struct udptun_conn *on)
{
    uint8_t body[FRAME_MAX_CONTROL];
    struct writer w = writer_of(body, sizeof body);
    unsigned count = 0;
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        count += s->legs[i].conn && s->legs[i].conn->ack_owed;
    s->acks_owed = false;
    if (count == 0)
        return;
    writer_varint(&w, CONTROL_ACK);
    writer_varint(&w, count);
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        struct udptun_conn *c = s->legs[i].conn;
        if (!c || !c->ack_owed)
            continue;
        writer_varint(&w, i);
        writer_varint(&w, c->generation);
        writer_varint(&w, c->rx_counted);
        writer_varint(&w, s->m->now_us - c->rx_counted_us);
        c->rx_acked = c->rx_counted;
        c->ack_owed = false;
    }
    uint8_t *to = conn_reserve(on, 12 + writer_size(&w));
    if (!to)
        return;
    size_t head = frame_put_header(to, FRAME_CONTROL, writer_size(&w));
    memcpy(to + head, body, writer_size(&w));
    conn_commit(on, head + writer_size(&w));
    on->ack_last = true;
}

void leg_heartbeat(struct udptun_conn *c)
{
    c->ping_sent_us = c->m->now_us;
    control_token(c, CONTROL_PING, HEARTBEAT_TOKEN);
}

/* ---- receiving ------------------------------------------------------------------------------ */

static void owe_ack(struct udptun_conn *c, size_t size)
{
    struct udptun_machine *m = c->m;
    c->rx_counted += size;
    if (!c->ack_owed) {
        c->ack_owed = true;
        c->rx_counted_us = m->now_us;
        c->session->acks_owed = true;
        conn_wake(c, m->now_us + ACK_DELAY_US);
    } else if (!c->session->spread && c->rx_counted - c->rx_acked >= ACK_SIZE) {
        leg_send_acks(c->session, c);
    }
}

static void leg_deliver(struct udptun_conn *c, struct udptun_binding *b,
                        const struct udptun_dest *dest, const struct reader *payload)
{
    if (age_is_stale(c))
        udptun_machine_count_drop(c->m, b, UDPTUN_MACHINE_DROP_STALE);
    else
        datagram_deliver(b, dest, payload->at, reader_left(payload));
}

/* A datagram of an announced id. */
static void announced_datagram(struct udptun_conn *c, uint64_t id, struct reader *body)
{
    struct rx_id *rx = c->last_rx_id;
    if (!rx || rx->id != id) {
        rx = announce_lookup(c->session, id);
        c->last_rx_id = rx;
    }
    if (!rx) { /* closed meanwhile; on its way on another leg, or our CLOSE was lost with one */
        udptun_machine_count_drop(c->m, NULL, UDPTUN_MACHINE_DROP_NO_FLOW);
        announce_unknown(c->session, id);
        return;
    }
    if (rx->flags & ANNOUNCE_SEQUENCE) {
        uint32_t sequence = reader_u32(body);
        if (body->failed || !datagram_fresh(rx->binding, sequence))
            return;
    }
    leg_deliver(c, rx->binding, &rx->dest, body);
}

static bool inline_datagram(struct udptun_conn *c, struct reader *body)
{
    struct inline_header h;
    frame_get_inline(body, &h);
    struct udptun_session *s = c->session;
    bool is_clients = h.dest.ep.family == UDPTUN_ENDPOINT_NAME || h.flags & INLINE_PORT ||
                      h.flags & INLINE_WHOLE; /* not for a server to say */
    if (body->failed || h.binding == 0 || (is_clients && s->m->config.role == UDPTUN_MACHINE_LOCAL))
        return false;
    struct udptun_binding *b = binding_find(s, h.binding);
    if (!b && s->m->config.role == UDPTUN_MACHINE_SERVER) {
        if (!binding_has_ended(s, h.binding))
            b = binding_remote(s, h.binding, h.label, h.port, 0, 0);
        else if (announce_may_complain(s)) /* a late one, or the client does not know */
            control_close(s, h.binding, UDPTUN_CLOSE_PEER);
    } else if (b && h.flags & INLINE_LABEL) {
        const struct udptun_conn *speaker = session_speaker(s);
        if (speaker && speaker->generation != b->told_generation)
            binding_tell_external(b); /* OPENED was lost with the leg that spoke then */
    }
    if (!b)
        udptun_machine_count_drop(c->m, NULL, UDPTUN_MACHINE_DROP_NO_FLOW);
    else if (!(h.flags & INLINE_SEQUENCE) || datagram_fresh(b, h.sequence))
        leg_deliver(c, b, &h.dest, body);
    return true;
}

bool leg_frame(struct udptun_conn *c, uint64_t id, struct reader *body, size_t size)
{
    if (!c->heard)
        client_heard(c);
    struct reader peek = *body; /* the type may be encoded in more bytes than need be */
    if (id != FRAME_CONTROL || reader_varint(&peek) != CONTROL_ACK || peek.failed)
        owe_ack(c, size);
    if (c->state != CONN_UP) /* no memory for an acknowledgement */
        return false;
    if (id == FRAME_CONTROL)
        return control_frame(c, body);
    if (id == FRAME_INLINE)
        return inline_datagram(c, body);
    announced_datagram(c, id, body);
    return !body->failed;
}

/* The lanes depend on the least round trip. */
static void note_rtt(struct udptun_session *s, uint64_t rtt_us)
{
    uint64_t least_us = route_min_rtt_us(s);
    credit_rtt(&s->credit, rtt_us, s->m->now_us);
    if (route_min_rtt_us(s) != least_us)
        session_wake(s, s->m->now_us);
}

void leg_rtt_sample(struct udptun_conn *c, uint64_t rtt_us)
{
    int64_t sample = rtt_us < 1 ? 1 : (int64_t)rtt_us;
    /* RFC 6298 section 2.3, alpha 1/8, beta 1/4. */
    if (c->rtt_us >= 0)
        c->rtt_var_us += (llabs(sample - c->rtt_us) - c->rtt_var_us) / 4;
    c->rtt_us = c->rtt_us < 0 ? sample : c->rtt_us + (sample - c->rtt_us) / 8;
    note_rtt(c->session, (uint64_t)sample);
}

void leg_pong(struct udptun_conn *c, uint64_t token)
{
    struct udptun_machine *m = c->m;
    if (token == HEARTBEAT_TOKEN) {
        if (c->ping_sent_us != 0)
            leg_rtt_sample(c, m->now_us - c->ping_sent_us);
        c->ping_sent_us = 0;
        return;
    }
    for (unsigned i = 0; i < PINGS; i++) {
        struct ping *ping = &c->session->pings[i];
        if (ping->sent_us == 0 || ping->wire != token)
            continue;
        uint64_t rtt_us = m->now_us - ping->sent_us;
        uint64_t host_token = ping->token;
        *ping = (struct ping){0};
        m->ops->pong(m->arg, host_token, rtt_us);
        return;
    }
}

void leg_acked(struct udptun_conn *c, uint64_t received, uint64_t delay_us)
{
    uint64_t now_us = c->m->now_us;
    if (received > c->tx_counted) {
        conn_kill(c, "it acknowledged what was never sent");
        return;
    }
    if (received <= c->tx_acked)
        return;
    if (c->leaving)
        conn_wake(c, now_us);
    /* The delay is that of the oldest byte: of the probe's only when none was before it. Taken off
     * wrongly it would make the path look near. */
    bool oldest = c->tx_acked >= c->probe_start;
    uint64_t fresh = received - c->tx_acked;
    c->tx_acked = received;
    c->progress_us = now_us;
    uint64_t last_us = 0;
    while (c->mark_count > 0 && c->marks[c->mark_first].counted <= received) {
        last_us = c->marks[c->mark_first].last_us;
        c->mark_first = (c->mark_first + 1) % MARKS;
        c->mark_count--;
    }
    if (last_us != 0 && now_us > last_us)
        note_rtt(c->session, now_us - last_us);
    if (c->probe_end != 0 && received >= c->probe_end) {
        uint64_t elapsed_us = now_us - c->probe_us;
        leg_rtt_sample(c, oldest && elapsed_us > delay_us ? elapsed_us - delay_us : elapsed_us);
        c->probe_end = 0;
    }
    credit_acked(&c->session->credit, c, c->tx_acked, fresh, delay_us);
    if (!list_empty(&c->session->waiting))
        queue_pump_held(c->session);
}

/* ---- time ----------------------------------------------------------------------------------- */

uint64_t leg_unacked_since(const struct udptun_conn *c)
{
    return c->mark_count > 0 ? c->marks[c->mark_first].time_us : 0;
}

/* When the leg is to be given up for lack of acknowledgements; UDPTUN_MACHINE_NEVER: nothing is
 * due. */
static uint64_t stuck_at(const struct udptun_conn *c)
{
    uint64_t since_us = leg_unacked_since(c);
    if (since_us == 0)
        return UDPTUN_MACHINE_NEVER;
    if (c->progress_us > since_us)
        since_us = c->progress_us;
    uint64_t patience_us = c->rtt_us > 0 ? STUCK_RTTS * (uint64_t)c->rtt_us : 0;
    return since_us + (patience_us > STUCK_MIN_US ? patience_us : STUCK_MIN_US);
}

/* Both directions are kept alive on each leg: acknowledgements may travel on another. */
static void heartbeat(struct udptun_conn *c, uint64_t interval_us)
{
    uint64_t quiet_us = c->last_rx_us < c->last_tx_us ? c->last_rx_us : c->last_tx_us;
    if (quiet_us + interval_us <= c->m->now_us && c->ping_sent_us == 0)
        leg_heartbeat(c);
    else
        conn_wake(c, quiet_us + interval_us > c->m->now_us ? quiet_us + interval_us
                                                           : c->m->now_us + interval_us);
}

static void give_back_memory(struct udptun_conn *c)
{
    if (conn_pending(c) > 0 || c->out.capacity <= OUTPUT_KEEP_SIZE)
        return;
    free(c->out.data);
    c->out = (struct output){0};
    conn_count_held(c);
}

void leg_tick(struct udptun_conn *c)
{
    struct udptun_machine *m = c->m;
    uint64_t heartbeat_us, dead_us;
    session_timers(c->session, &heartbeat_us, &dead_us);
    if (m->now_us >= c->last_rx_us + dead_us) {
        conn_kill(c, "no data received for %llu s", (unsigned long long)(dead_us / S_US));
        return;
    }
    conn_wake(c, c->last_rx_us + dead_us);
    uint64_t stuck_us = stuck_at(c);
    if (m->now_us >= stuck_us) {
        conn_kill(c, "what was sent is not acknowledged");
        return;
    }
    conn_wake(c, stuck_us);
    if (c->leaving && m->config.role == UDPTUN_MACHINE_SERVER && conn_pending(c) == 0 &&
        c->tx_acked == c->tx_counted) {
        conn_kill(c, "not needed any more");
        return;
    }
    if (m->config.role == UDPTUN_MACHINE_LOCAL && !c->leaving)
        heartbeat(c, heartbeat_us);
    if (c->state == CONN_UP && c->ack_owed) {
        uint64_t retry_us;
        struct udptun_conn *on =
            sparse_for_ack(c->session, c, m->now_us - c->rx_counted_us, &retry_us);
        if (on)
            leg_send_acks(c->session, on);
        else
            conn_wake(c, retry_us);
    }
    if (m->now_us - c->last_tx_us > S_US)
        give_back_memory(c);
}
