/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_send.c - the bytes of a TCP flow, from the host to the app.
 *
 * They are not copied: the host reads its stream straight into a chunk, lwIP's segments refer to
 * it, and it goes when the app has acknowledged all that is in it. Back-pressure: no more is to be
 * had than lwIP's send buffer has room for.
 */
#include <stdlib.h>

#include "lwip/priv/tcp_priv.h"

#include "tun2socks/internal.h"

enum {
    CHUNK_BYTES = 256 * 1024,
    /* A chunk with less left is not filled further. */
    CHUNK_LEAST_BYTES = 16 * 1024,
    /* Chunks kept for the next flow that wants one: memory that the kernel has given once. */
    SPARE_CHUNKS = 8,
    /* With less room than this none is told, with as much the host is woken: no small reads. */
    ROOM_LEAST_BYTES = TCP_SND_BUF / 8,
    ROOM_WAKE_BYTES = TCP_SND_BUF / 2,
    QUEUE_SPARE = 256, /* of lwIP's count of send buffers, for what one call adds */
};

struct chunk {
    struct chunk *link;
    size_t size;        /* of `data` */
    size_t used, acked; /* bytes */
    uint8_t data[];
};

/* ---- chunks */

static void free_chunk(struct tun2socks *t, struct chunk *c)
{
    budget_give(t->config.budget, sizeof *c + c->size);
    free(c);
}

static struct chunk *tcp_send_allocate(struct tun2socks *t, size_t size)
{
    struct chunk *c = malloc(sizeof *c + size);
    if (!c)
        return NULL;
    c->size = size;
    budget_take(t->config.budget, sizeof *c + size);
    return c;
}

/* Where all flows together hold too much, one that has nothing gets little, and others wait for
 * their app to acknowledge what they have. */
static bool may_have_chunk(const struct tun2socks_flow *flow, size_t *size)
{
    *size = CHUNK_BYTES;
    if (flow->t->spare_chunks ||
        budget_has(flow->t->config.budget, sizeof(struct chunk) + CHUNK_BYTES))
        return true;
    *size = CHUNK_LEAST_BYTES;
    return !flow->first_chunk;
}

static struct chunk *new_chunk(struct tun2socks_flow *flow, size_t size)
{
    struct tun2socks *t = flow->t;
    struct chunk *c = size == CHUNK_BYTES ? t->spare_chunks : NULL;
    if (c) {
        t->spare_chunks = c->link;
        t->spare_chunk_count--;
    } else if (!(c = tcp_send_allocate(t, size))) {
        return NULL;
    }
    c->link = NULL;
    c->used = c->acked = 0;
    if (flow->last_chunk)
        flow->last_chunk->link = c;
    else
        flow->first_chunk = c;
    flow->last_chunk = c;
    return c;
}

static void free_first(struct tun2socks_flow *flow)
{
    struct tun2socks *t = flow->t;
    struct chunk *c = flow->first_chunk;
    flow->first_chunk = c->link;
    if (!flow->first_chunk)
        flow->last_chunk = NULL;
    if (t->spare_chunk_count >= SPARE_CHUNKS || c->size < CHUNK_BYTES) {
        free_chunk(t, c);
        return;
    }
    c->link = t->spare_chunks;
    t->spare_chunks = c;
    t->spare_chunk_count++;
}

void tcp_send_free(struct tun2socks_flow *flow)
{
    while (flow->first_chunk)
        free_first(flow);
}

/* An idle flow holds no chunk, not even one in which nothing came to lie. */
static void free_idle(struct tun2socks_flow *flow)
{
    const struct chunk *c = flow->first_chunk;
    if (c && c == flow->last_chunk && c->used == c->acked)
        free_first(flow);
}

void tcp_send_trim(struct tun2socks *t)
{
    while (t->spare_chunks) {
        struct chunk *c = t->spare_chunks;
        t->spare_chunks = c->link;
        free_chunk(t, c);
    }
    t->spare_chunk_count = 0;
}

/* ---- lwIP */

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t size)
{
    struct tun2socks_flow *flow = arg;
    for (size_t left = size; left > 0 && flow->first_chunk;) {
        struct chunk *c = flow->first_chunk;
        size_t piece = c->used - c->acked < left ? c->used - c->acked : left;
        c->acked += piece;
        left -= piece;
        if (c->acked == c->used)
            free_first(flow);
    }
    free_idle(flow);
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

void tcp_send_start(struct tun2socks_flow *flow)
{
    tcp_sent(flow->pcb, on_sent);
    flow->wants_room = false;
    flow->has_room = true;
}

ssize_t tun2socks_buffer(struct tun2socks_flow *flow, void **to)
{
    *to = NULL;
    if (flow->state != FLOW_OPEN || flow->far_ended)
        return 0;
    size_t room = flow->pcb->snd_buf;
    if (room < ROOM_LEAST_BYTES || tcp_sndqueuelen(flow->pcb) > TCP_SND_QUEUELEN - QUEUE_SPARE) {
        flow->wants_room = true;
        return 0;
    }
    struct chunk *c = flow->last_chunk;
    if (!c || c->size - c->used < CHUNK_LEAST_BYTES) {
        size_t size;
        if (!may_have_chunk(flow, &size)) {
            flow->wants_room = true;
            return 0;
        }
        if (!(c = new_chunk(flow, size)))
            return -1;
    }
    *to = c->data + c->used;
    return (ssize_t)(room < c->size - c->used ? room : c->size - c->used);
}

/* lwIP takes at most 64 KiB at once and makes segments no larger than half the window. */
static size_t step_of(const struct tcp_pcb *pcb)
{
    size_t segment = pcb->mss;
    if (pcb->snd_wnd_max / 2 > 0 && pcb->snd_wnd_max / 2 < segment)
        segment = pcb->snd_wnd_max / 2;
    return UINT16_MAX / segment * segment;
}

bool tun2socks_filled(struct tun2socks_flow *flow, size_t size)
{
    struct chunk *c = flow->last_chunk;
    struct tcp_pcb *pcb = flow->pcb;
    if (flow->state != FLOW_OPEN || !c)
        return true;
    for (size_t step = step_of(pcb); size > 0;) {
        size_t piece = size < step ? size : step;
        u8_t flags = piece < size ? TCP_WRITE_FLAG_MORE : 0;
        if (tcp_write(pcb, c->data + c->used, (u16_t)piece, flags) != ERR_OK)
            return false;
        c->used += piece;
        size -= piece;
    }
    if (c->used == c->acked) {
        free_idle(flow);
        return true; /* nothing came */
    }
    tcp_output(pcb);
    tcp_flow_active(flow);
    return true;
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
