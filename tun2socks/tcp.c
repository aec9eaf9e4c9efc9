/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.c - the life of a TCP flow.
 *
 *   SYN --> CONNECTING --connected--> ACCEPTING --handshake--> OPEN --both ended--> LINGERING
 *               |refused                  |                      |failed, idle          |sent
 *               '--> reset or ICMP -------'----------------------'---------> DEAD <-----'
 *
 * lwIP sees a SYN only when the stream to its destination stands, so a refused connection looks
 * refused to the app. A flow counts towards the cap until lwIP has nothing more to deliver: an
 * app that stops reading cannot pile up what nobody counts. At the cap the flow that has been idle
 * longest ends for a new one. When every flow is busy, the SYN is dropped: its app sends it again
 * about a second later, which is how long a flow has to be idle.
 */
#include <stdlib.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"

#include "proto/buffer.h"
#include "tun2socks/checksum.h"
#include "tun2socks/internal.h"

enum { REFUSED_US = 1000000 };

/* ---- the table */

struct flow_key {
    const struct udptun_endpoint *source, *destination;
};

static bool is_flow(const struct table_node *node, const void *key)
{
    const struct tun2socks_flow *flow = table_entry(node, const struct tun2socks_flow, node);
    const struct flow_key *k = key;
    return endpoint_equal(&flow->source, k->source) &&
           endpoint_equal(&flow->destination, k->destination);
}

struct tun2socks_flow *tcp_flow_find(const struct tun2socks *t,
                                     const struct udptun_endpoint *source,
                                     const struct udptun_endpoint *destination)
{
    struct flow_key key = {source, destination};
    struct table_node *node =
        table_find(&t->flows, stack_hash(t, source, destination), is_flow, &key);
    return node ? table_entry(node, struct tun2socks_flow, node) : NULL;
}

static bool is_ending(const struct tun2socks_flow *flow)
{
    return flow->app_ended || flow->far_ended;
}

void tcp_flow_active(struct tun2socks_flow *flow)
{
    struct tun2socks *t = flow->t;
    flow->active_us = stack_now(t);
    if (flow->state != FLOW_DEAD)
        list_move(is_ending(flow) ? &t->ending_flows : &t->open_flows, &flow->age);
}

void tcp_flow_enter(struct tun2socks_flow *flow, enum flow_state state)
{
    struct tun2socks *t = flow->t;
    if (flow->state == state)
        return;
    flow->state = state;
    if (state == FLOW_DEAD) {
        table_remove(&t->flows, &flow->node);
        list_remove(&flow->age);
        t->counters.tcp_flows--;
    }
    stack_note(flow);
}

static struct tun2socks_flow *new_flow(struct tun2socks *t, const struct packet *p)
{
    struct tun2socks_flow *flow = calloc(1, sizeof *flow);
    if (!flow)
        return NULL;
    *flow = (struct tun2socks_flow){.t = t,
                                    .source = p->source,
                                    .destination = p->destination,
                                    .state = FLOW_CONNECTING,
                                    .syn = packet_buffer_new(p->size),
                                    .wants_room = true};
    flow->last = &flow->first;
    list_init(&flow->age);
    list_init(&flow->work);
    uint64_t hash = stack_hash(t, &p->source, &p->destination);
    if (!flow->syn || table_insert(&t->flows, &flow->node, hash) != UDPTUN_OK) {
        packet_buffer_free(flow->syn);
        free(flow);
        return NULL;
    }
    memcpy(flow->syn->data, p->data, p->size);
    t->counters.tcp_flows++;
    tcp_flow_active(flow);
    return flow;
}

static void tcp_close_stream(struct tun2socks_flow *flow)
{
    void *stream = flow->stream;
    flow->stream = NULL;
    if (stream)
        flow->t->config.streams->stream_close(stream);
}

/* ---- lwIP's side */

static void forget_pcb(struct tun2socks_flow *flow)
{
    struct tcp_pcb *pcb = flow->pcb;
    flow->pcb = NULL;
    lwip_port_release(&flow->held);
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
}

void tcp_flow_abort(struct tun2socks_flow *flow)
{
    struct tcp_pcb *pcb = flow->pcb;
    if (pcb) {
        forget_pcb(flow);
        tcp_abort(pcb);
    }
    tcp_flow_enter(flow, FLOW_DEAD);
}

static bool tcp_is_of(const struct tcp_pcb *pcb, const struct tun2socks *t, const struct packet *p)
{
    const void *remote = &pcb->remote_ip, *local = &pcb->local_ip;
    bool is_ip4 = p->source.family == UDPTUN_ENDPOINT_IP4;
    size_t size = is_ip4 ? 4 : 16; /* both kinds of ip_addr_t begin with the address */
    return pcb->remote_port == p->source.port && pcb->local_port == p->destination.port &&
           pcb->netif_idx == netif_get_index(&t->netif) && IP_IS_V6(&pcb->remote_ip) != is_ip4 &&
           memcmp(remote, p->source.ip, size) == 0 && memcmp(local, p->destination.ip, size) == 0;
}

/* The app uses its port again: what lwIP still has of an earlier flow would take its SYN. */
static void forget_earlier(const struct tun2socks *t, const struct packet *p)
{
    struct tcp_pcb *const lists[] = {tcp_active_pcbs, tcp_tw_pcbs};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (struct tcp_pcb *pcb = lists[i]; pcb; pcb = pcb->next) {
            if (tcp_is_of(pcb, t, p)) {
                tcp_abandon(pcb, 0);
                break;
            }
        }
    }
}

/* The answer to a SYN that nobody listens for (RFC 9293 section 3.10.7.1). */
static void send_reset(struct tun2socks *t, const struct packet *syn)
{
    const struct packet_offload none = {0};
    uint8_t ip[IP6_HEADER_SIZE], tcp[TCP_HEADER_SIZE];
    struct reader r = reader_of(syn->transport + 4, 4);
    struct writer w = writer_of(tcp, sizeof tcp);
    writer_u16(&w, syn->destination.port);
    writer_u16(&w, syn->source.port);
    writer_u32(&w, 0);
    writer_u32(&w, reader_u32(&r) + 1);
    writer_u8(&w, TCP_HEADER_SIZE / 4 << 4);
    writer_u8(&w, TCP_FLAG_RST | TCP_FLAG_ACK);
    writer_u16(&w, 0); /* window */
    writer_u32(&w, 0); /* checksum, urgent pointer */
    checksum_sum sum = checksum_pseudo(&syn->destination, &syn->source, PROTOCOL_TCP, sizeof tcp);
    uint16_t value = checksum_end(checksum_add(sum, tcp, sizeof tcp));
    memcpy(tcp + TCP_CHECKSUM_OFFSET, &value, sizeof value);
    size_t ip_size = packet_write_ip(ip, &syn->destination, &syn->source, PROTOCOL_TCP, sizeof tcp);
    struct io_span parts[2] = {{ip, ip_size}, {tcp, sizeof tcp}};
    stack_write(t, parts, 2, &none);
}

/* Linux answers the ICMP that ends an attempt with that attempt's SYN once more (RFC 6069 lets it
 * send what the error shows to have been lost), and only then gives up. */
static void note_refused(struct tun2socks *t, const struct packet *syn)
{
    struct reader r = reader_of(syn->transport + 4, 4);
    t->refused[t->next_refused++ % REFUSED_SYNS] =
        (struct refused_syn){.source = syn->source,
                             .destination = syn->destination,
                             .sequence = reader_u32(&r),
                             .until_us = stack_now(t) + REFUSED_US};
}

static bool was_refused(const struct tun2socks *t, const struct packet *syn)
{
    struct reader r = reader_of(syn->transport + 4, 4);
    uint32_t sequence = reader_u32(&r);
    for (size_t i = 0; i < REFUSED_SYNS; i++) {
        const struct refused_syn *s = &t->refused[i];
        if (s->until_us > stack_now(t) && s->sequence == sequence &&
            endpoint_equal(&s->source, &syn->source) &&
            endpoint_equal(&s->destination, &syn->destination))
            return true;
    }
    return false;
}

/* The flow's SYN goes to lwIP, which finds its listener. */
static void feed_syn(struct tun2socks_flow *flow)
{
    struct tun2socks *t = flow->t;
    struct packet p;
    enum tun2socks_drop cause;
    struct packet_buffer *syn = flow->syn;
    flow->syn = NULL;
    if (!packet_parse(&p, syn->data, syn->capacity, true, &cause)) {
        packet_buffer_free(syn);
        return;
    }
    t->listener->local_port = flow->destination.port;
    stack_feed(t, syn, &p);
    t->listener->local_port = 0;
    struct tcp_pcb *pcb = tcp_active_pcbs; /* a new one is in front */
    if (pcb && pcb->state == SYN_RCVD && !pcb->callback_arg && tcp_is_of(pcb, t, &p)) {
        flow->pcb = pcb;
        lwip_port_hold(&flow->held, pcb);
    }
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct tun2socks_flow *flow = arg;
    if (!flow || !pcb || err != ERR_OK)
        return ERR_VAL;
    tcp_data_start(flow);
    tcp_flow_enter(flow, FLOW_OPEN);
    return ERR_OK;
}

/* lwIP has freed the pcb: reset by the app, given up, or all was delivered. */
static void on_tcp_error(void *arg, err_t err)
{
    struct tun2socks_flow *flow = arg;
    (void)err;
    flow->pcb = NULL;
    lwip_port_forget(&flow->held);
    tcp_flow_enter(flow, FLOW_DEAD);
}

/* ---- the beginning */

static struct tun2socks_flow *longest_idle(const struct list *list)
{
    return list_empty(list) ? NULL : list_entry(list->next, struct tun2socks_flow, age);
}

static struct tun2socks_flow *tcp_idlest(const struct tun2socks *t)
{
    struct tun2socks_flow *open = longest_idle(&t->open_flows),
                          *ending = longest_idle(&t->ending_flows);
    return !open || (ending && ending->active_us < open->active_us) ? ending : open;
}

uint64_t tcp_idle_since(const struct tun2socks *t)
{
    const struct tun2socks_flow *flow = tcp_idlest(t);
    return flow ? flow->active_us : UINT64_MAX;
}

bool tcp_evict(struct tun2socks *t)
{
    struct tun2socks_flow *flow = tcp_idlest(t);
    if (!flow || stack_now(t) - flow->active_us < EVICT_IDLE_US)
        return false;
    t->counters.evicted++;
    if (flow->state == FLOW_CONNECTING)
        tun2socks_refused(flow, IO_REFUSED);
    else
        tcp_flow_abort(flow);
    stack_work(t);
    return true;
}

bool tcp_flow_syn(struct tun2socks *t, const struct packet *p)
{
    struct tun2socks_flow *flow = tcp_flow_find(t, &p->source, &p->destination);
    if (flow && flow->state == FLOW_LINGERING)
        tcp_flow_abort(flow);
    else if (flow)
        return flow->state != FLOW_CONNECTING; /* else: said again while the host is connecting */
    if (was_refused(t, p))
        return false;
    if (stack_is_own(t, p)) {
        note_refused(t, p);
        icmp_error(t, &p->source, &p->destination, PROTOCOL_TCP, p->transport, p->transport_size,
                   TUN2SOCKS_HOST_UNREACHABLE, 0); /* what dials need not wait */
        return false;
    }
    forget_earlier(t, p);
    while (t->counters.tcp_flows >= t->config.max_tcp_flows) {
        stack_at_cap(t, TUN2SOCKS_CAP_TCP);
        if (!tcp_evict(t)) {
            stack_drop(t, TUN2SOCKS_DROP_TCP_LIMIT);
            return false;
        }
    }
    flow = new_flow(t, p);
    if (!flow) {
        stack_drop(t, TUN2SOCKS_DROP_MEMORY);
        return false;
    }
    enum io why = IO_REFUSED;
    if (t->config.streams)
        why = t->config.streams->stream_open(t->config.arg, flow, &flow->source, &flow->destination,
                                             &flow->stream);
    else
        stack_drop(t, TUN2SOCKS_DROP_REJECTED);
    if (why != IO_OK)
        tun2socks_refused(flow, why);
    return false;
}

void tun2socks_refused(struct tun2socks_flow *flow, enum io why)
{
    struct tun2socks *t = flow->t;
    if (flow->state != FLOW_CONNECTING)
        return;
    t->counters.tcp_refused++;
    struct packet p;
    enum tun2socks_drop cause;
    if (!packet_parse(&p, flow->syn->data, flow->syn->capacity, true, &cause)) {
        stack_drop(t, cause);
    } else if (why == IO_HOST_UNREACHABLE || why == IO_NET_UNREACHABLE || why == IO_TIMED_OUT) {
        note_refused(t, &p);
        icmp_error(t, &p.source, &p.destination, PROTOCOL_TCP, p.transport, p.transport_size,
                   TUN2SOCKS_HOST_UNREACHABLE, 0);
    } else {
        send_reset(t, &p);
    }
    tcp_flow_enter(flow, FLOW_DEAD);
    stack_work(t);
}

void tun2socks_connected(struct tun2socks_flow *flow)
{
    struct tun2socks *t = flow->t;
    if (flow->state != FLOW_CONNECTING)
        return;
    tcp_flow_active(flow);
    tcp_accept(t->listener, on_accept);
    feed_syn(flow);
    if (flow->pcb) {
        tcp_arg(flow->pcb, flow);
        tcp_err(flow->pcb, on_tcp_error);
        tcp_nagle_disable(flow->pcb);
        tcp_flow_enter(flow, FLOW_ACCEPTING);
    } else {
        stack_drop(t, TUN2SOCKS_DROP_MEMORY);
        tcp_flow_enter(flow, FLOW_DEAD);
    }
    stack_work(t);
}

void tcp_flow_input(struct tun2socks_flow *flow, struct pbuf *pbuf, struct netif *netif,
                    err_t (*input)(struct pbuf *, struct netif *))
{
    bool is_lent = flow && flow->pcb;
    if (is_lent)
        lwip_port_lend(&flow->held);
    input(pbuf, netif);
    if (is_lent && !lwip_port_take_back(&flow->held))
        forget_pcb(flow); /* TIME-WAIT: both sides have ended, and lwIP frees it without a word */
    if (is_lent && flow->state != FLOW_DEAD && (!flow->pcb || flow->state == FLOW_LINGERING))
        stack_note(flow);
}

/* ---- the end */

/* Nothing is left to deliver: lwIP may keep the rest of the formalities for itself. */
static void leave_when_sent(struct tun2socks_flow *flow)
{
    struct tcp_pcb *pcb = flow->pcb;
    if (pcb && (pcb->unsent || pcb->unacked))
        return;
    if (pcb) {
        forget_pcb(flow);
        tcp_close(pcb);
    }
    tcp_flow_enter(flow, FLOW_DEAD);
}

static void work_open(struct tun2socks_flow *flow)
{
    if (!tcp_data_push(flow)) {
        tcp_flow_abort(flow);
        return;
    }
    if (flow->app_ended && !flow->first && !flow->app_end_told) {
        flow->app_end_told = true;
        flow->t->config.streams->stream_end(flow->stream);
    }
    if (flow->state == FLOW_OPEN && flow->has_room) {
        flow->has_room = false;
        flow->t->config.streams->stream_room(flow->stream);
    }
    if (flow->state == FLOW_OPEN && flow->pcb && flow->far_ended && !flow->far_end_sent) {
        flow->far_end_sent = true;
        tcp_shutdown(flow->pcb, 0, 1);
    }
    if (flow->state == FLOW_OPEN && flow->app_end_told && flow->far_end_sent) {
        tcp_flow_enter(flow, FLOW_LINGERING);
        tcp_close_stream(flow);
    }
}

void tcp_flow_work(struct tun2socks_flow *flow)
{
    switch (flow->state) {
    case FLOW_CONNECTING:
    case FLOW_ACCEPTING:
        break;
    case FLOW_OPEN:
        work_open(flow);
        break;
    case FLOW_LINGERING:
        leave_when_sent(flow);
        break;
    case FLOW_DEAD:
        tcp_close_stream(flow);
        tcp_data_free(flow);
        tcp_send_free(flow);
        packet_buffer_free(flow->syn);
        list_remove(&flow->work);
        free(flow);
        break;
    }
}

void tun2socks_failed(struct tun2socks_flow *flow)
{
    struct tun2socks *t = flow->t;
    if (flow->state == FLOW_CONNECTING)
        tun2socks_refused(flow, IO_REFUSED);
    else
        tcp_flow_abort(flow);
    stack_work(t);
}

/* What lwIP has heard of the app without a word to us: keepalives, which RFC 5382 (REQ-5) wants to
 * keep a flow alive. lwIP's clock counts half seconds. */
static bool was_heard(const struct tun2socks_flow *flow, uint32_t idle_s)
{
    return flow->pcb && (tcp_ticks - flow->pcb->tmr) / 2 + 1 < idle_s;
}

/* Reset the flows of one list that idled. Returns when the next one will have. */
static uint64_t tcp_expire(struct tun2socks *t, struct list *list, uint32_t idle_s)
{
    while (!list_empty(list)) {
        struct tun2socks_flow *flow = list_entry(list->next, struct tun2socks_flow, age);
        uint64_t at = flow->active_us + idle_s * UINT64_C(1000000);
        if (at > stack_now(t))
            return at;
        if (was_heard(flow, idle_s))
            tcp_flow_active(flow);
        else
            tcp_flow_abort(flow);
    }
    return UINT64_MAX;
}

uint64_t tcp_tick(struct tun2socks *t)
{
    uint64_t a = tcp_expire(t, &t->open_flows, t->config.tcp_idle_s);
    uint64_t b = tcp_expire(t, &t->ending_flows, t->config.tcp_ending_s);
    stack_work(t);
    if (t->counters.tcp_flows == 0)
        tcp_send_trim(t);
    return a < b ? a : b;
}

void tcp_free_all(struct tun2socks *t)
{
    tcp_expire(t, &t->open_flows, 0);
    tcp_expire(t, &t->ending_flows, 0);
    stack_work(t);
}
