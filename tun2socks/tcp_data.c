/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_data.c - the bytes of a TCP flow, from the app to the host; tcp_send.c has the other way.
 *
 * Back-pressure: what the host does not take stays here, and lwIP's window is opened again
 * (tcp_recved) only for what it took, so no more than a window waits.
 */
#include "lwip/priv/tcp_priv.h"

#include "tun2socks/internal.h"

enum {
    /* Tiny segments cost far more than they count in the window. */
    PENDING_BUFFERS = 4096,
    /* A window that cannot grow (no scaling) is opened again in steps of this size: lwIP's own are
     * larger than such a window, and the app would wait for a timer each time. */
    WINDOW_STEP_BYTES = 16384,
};

/* With nothing pending a flow may have what came, or it would stand still for good. The budget
 * counts what came already (stack_feed). */
static bool tcp_data_has_room(const struct tun2socks_flow *flow)
{
    if (flow->pending_buffers == 0)
        return true;
    return flow->pending_buffers < PENDING_BUFFERS && budget_has(flow->t->config.budget, 0);
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct tun2socks_flow *flow = arg;
    (void)pcb;
    (void)err;
    if (p && !tcp_data_has_room(flow))
        return ERR_MEM; /* lwIP keeps it, and drops what follows, until it may try again */
    if (!p)
        flow->app_ended = true;
    while (p) {
        struct pbuf *next = p->next;
        p->next = NULL;
        p->tot_len = p->len;
        if (p->len == 0) {
            pbuf_free(p);
        } else {
            struct packet_buffer *buffer = (struct packet_buffer *)(void *)p;
            buffer->link = NULL;
            *flow->last = buffer;
            flow->last = &buffer->link;
            flow->pending_buffers++;
        }
        p = next;
    }
    tcp_flow_active(flow);
    stack_note(flow);
    return ERR_OK;
}

void tcp_data_start(struct tun2socks_flow *flow)
{
    tcp_recv(flow->pcb, on_received);
    tcp_send_start(flow);
    tcp_out_start(flow);
    tcp_flow_active(flow);
}

static void free_first(struct tun2socks_flow *flow)
{
    struct packet_buffer *buffer = flow->first;
    flow->first = buffer->link;
    if (!flow->first)
        flow->last = &flow->first;
    flow->pending_buffers--;
    pbuf_free(&buffer->custom.pbuf);
}

void tcp_data_free(struct tun2socks_flow *flow)
{
    while (flow->first)
        free_first(flow);
    flow->first_offset = 0;
}

/* Tell an app without window scaling that there is room again. */
static void open_small_window(struct tcp_pcb *pcb)
{
    uint32_t right_edge = pcb->rcv_nxt + pcb->rcv_wnd;
    if ((pcb->flags & TF_WND_SCALE) || right_edge - pcb->rcv_ann_right_edge < WINDOW_STEP_BYTES)
        return;
    pcb->rcv_ann_wnd = pcb->rcv_wnd;
    tcp_ack_now(pcb);
    tcp_output(pcb);
}

static void open_window(struct tcp_pcb *pcb, size_t size)
{
    while (size > 0) {
        u16_t piece = size < UINT16_MAX ? (u16_t)size : UINT16_MAX;
        tcp_recved(pcb, piece);
        size -= piece;
    }
    open_small_window(pcb);
}

static void tcp_data_taken(struct tun2socks_flow *flow, size_t size)
{
    if (flow->pcb) /* else both sides have ended */
        open_window(flow->pcb, size);
    size += flow->first_offset;
    while (flow->first && size >= flow->first->custom.pbuf.len) {
        size -= flow->first->custom.pbuf.len;
        free_first(flow);
    }
    flow->first_offset = size;
}

bool tcp_data_push(struct tun2socks_flow *flow)
{
    while (flow->first && !flow->is_blocked) {
        struct io_span parts[DEVICE_MAX_PARTS];
        size_t offset = flow->first_offset, offered = 0;
        int count = 0;
        for (struct packet_buffer *b = flow->first; b && count < DEVICE_MAX_PARTS; b = b->link) {
            const struct pbuf *p = &b->custom.pbuf;
            parts[count++] =
                (struct io_span){(const uint8_t *)p->payload + offset, (size_t)p->len - offset};
            offered += p->len - offset;
            offset = 0;
        }
        ssize_t size = flow->t->config.streams->stream_write(flow->stream, parts, count);
        if (size < 0)
            return false;
        if (flow->state != FLOW_OPEN) /* ended from inside */
            return true;
        tcp_data_taken(flow, (size_t)size);
        flow->is_blocked = (size_t)size < offered;
    }
    return true;
}

void tun2socks_writable(struct tun2socks_flow *flow)
{
    if (!flow->is_blocked)
        return;
    flow->is_blocked = false;
    tcp_flow_active(flow);
    stack_note(flow);
    stack_work(flow->t);
}
