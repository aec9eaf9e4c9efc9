/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_data.c - the bytes of a TCP flow.
 *
 * Back-pressure. From the app: what the host does not take stays here, lwIP's window is opened
 * again (tcp_recved) only for what it took, so no more than a window waits. To the app: the host
 * reads its stream only as far as tun2socks_room() allows, which is lwIP's send buffer.
 */
#include "lwip/priv/tcp_priv.h"

#include "tun2socks/internal.h"

enum {
    /* With less room than this none is told, with as much the host is woken: no small reads. */
    ROOM_LEAST_BYTES = TCP_SND_BUF / 8,
    ROOM_WAKE_BYTES = TCP_SND_BUF / 2,
    QUEUE_SPARE = 256, /* of lwIP's count of send buffers, for what one call adds */
    /* Tiny segments cost far more than they count in the window. */
    PENDING_BUFFERS = 4096,
    LARGE_SEGMENT_BYTES = 32768,
};

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct tun2socks_flow *flow = arg;
    (void)pcb;
    (void)err;
    if (p && flow->pending_buffers >= PENDING_BUFFERS)
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

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t size)
{
    struct tun2socks_flow *flow = arg;
    (void)size;
    tcp_flow_active(flow);
    if (flow->wants_room && pcb->snd_buf >= ROOM_WAKE_BYTES) {
        flow->wants_room = false;
        flow->has_room = true;
        stack_note(flow);
    }
    if (flow->state == FLOW_LINGERING)
        stack_note(flow);
    return ERR_OK;
}

void tcp_data_start(struct tun2socks_flow *flow)
{
    struct tcp_pcb *pcb = flow->pcb;
    const struct device *d = flow->t->device;
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    if (d && d->segmentation_offload && pcb->mss < LARGE_SEGMENT_BYTES) {
        /* The device cuts: lwIP deals in segments as large as a packet can be. */
        size_t headers = (flow->source.family == ENDPOINT_IP4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE) +
                         TCP_HEADER_SIZE;
        flow->segment_size = pcb->mss;
        pcb->mss = (u16_t)((UINT16_MAX - headers) / pcb->mss * pcb->mss);
    }
    flow->wants_room = false;
    flow->has_room = true;
    tcp_flow_active(flow);
}

/* ---- from the app */

static void free_first(struct tun2socks_flow *flow)
{
    struct packet_buffer *buffer = flow->first;
    flow->first = buffer->link;
    if (!flow->first)
        flow->last = &flow->first;
    flow->first_offset = 0;
    flow->pending_buffers--;
    pbuf_free(&buffer->custom.pbuf);
}

void tcp_data_free(struct tun2socks_flow *flow)
{
    while (flow->first)
        free_first(flow);
}

static void taken(struct tun2socks_flow *flow, size_t size)
{
    for (size_t left = size; left > 0;) {
        u16_t piece = left < UINT16_MAX ? (u16_t)left : UINT16_MAX;
        tcp_recved(flow->pcb, piece);
        left -= piece;
    }
    while (size > 0) {
        size_t rest = flow->first->custom.pbuf.len - flow->first_offset;
        if (size < rest) {
            flow->first_offset += size;
            return;
        }
        size -= rest;
        free_first(flow);
    }
}

bool tcp_data_push(struct tun2socks_flow *flow)
{
    while (flow->first && !flow->is_blocked) {
        struct iovec parts[DEVICE_MAX_PARTS];
        size_t offset = flow->first_offset, offered = 0;
        int count = 0;
        for (struct packet_buffer *b = flow->first; b && count < DEVICE_MAX_PARTS; b = b->link) {
            const struct pbuf *p = &b->custom.pbuf;
            parts[count++] =
                (struct iovec){(uint8_t *)p->payload + offset, (size_t)p->len - offset};
            offered += p->len - offset;
            offset = 0;
        }
        ssize_t size = flow->t->config.streams->stream_write(flow->stream, parts, count);
        if (size < 0)
            return false;
        if (flow->state != FLOW_OPEN) /* ended from inside */
            return true;
        taken(flow, (size_t)size);
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

/* ---- to the app */

size_t tun2socks_room(struct tun2socks_flow *flow)
{
    if (flow->state != FLOW_OPEN || flow->far_ended)
        return 0;
    size_t room = flow->pcb->snd_buf;
    if (room < ROOM_LEAST_BYTES || tcp_sndqueuelen(flow->pcb) > TCP_SND_QUEUELEN - QUEUE_SPARE) {
        flow->wants_room = true;
        return 0;
    }
    return room;
}

size_t tun2socks_input(struct tun2socks_flow *flow, const void *data, size_t size)
{
    struct tcp_pcb *pcb = flow->pcb;
    const uint8_t *at = data;
    size_t left = size;
    if (flow->state != FLOW_OPEN || flow->far_ended)
        return 0;
    if (left > pcb->snd_buf)
        left = pcb->snd_buf;
    size_t taken_size = 0;
    /* lwIP takes at most 64 KiB at once and makes segments no larger than half the window. */
    size_t segment = pcb->mss;
    if (pcb->snd_wnd_max / 2 > 0 && pcb->snd_wnd_max / 2 < segment)
        segment = pcb->snd_wnd_max / 2;
    size_t step = UINT16_MAX / segment * segment;
    while (left > 0) {
        size_t piece = left < step ? left : step;
        u8_t flags = TCP_WRITE_FLAG_COPY | (piece < left ? TCP_WRITE_FLAG_MORE : 0);
        if (tcp_write(pcb, at + taken_size, (u16_t)piece, flags) != ERR_OK)
            break;
        taken_size += piece;
        left -= piece;
    }
    if (taken_size < size)
        flow->wants_room = true;
    tcp_output(pcb);
    tcp_flow_active(flow);
    return taken_size;
}

void tun2socks_ended(struct tun2socks_flow *flow)
{
    flow->far_ended = true;
    tcp_flow_active(flow);
    if (flow->state == FLOW_OPEN) { /* else when it has become so */
        stack_note(flow);
        stack_work(flow->t);
    }
}
