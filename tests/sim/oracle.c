/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.c - what was sent, and whether what arrives is that, once, at the right place.
 *
 * A payload of at least NUMBERED bytes says which datagram it is; the rest of it follows from
 * that number. A smaller one goes to a destination that one source alone uses and has contents
 * that follow from the flow and the size, so that it can be counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/buffer.h"
#include "tests/sim/sim.h"

#define MAGIC     0x53494d31u
#define PROMPT_US (30 * SECOND_US)
#define CLOCK_ERROR_US                                                                             \
    6000 /* a clock is told again after 4 ms; both ends round to milliseconds                      \
          */

static const char *const names[3] = {"a.example", "resolver.example.net",
                                     "a-rather-long-name.with.labels.example.org"};

struct udptun_dest oracle_dest(unsigned owner, unsigned dest)
{
    if (dest >= SHARED_DESTS) {
        struct udptun_endpoint own = endpoint_ip4(10, (uint8_t)owner, 0, (uint8_t)dest, 4000);
        return udptun_dest_of(&own);
    }
    if (dest % 3 == 2)
        return udptun_dest_of_name(names[dest / 3], strlen(names[dest / 3]), (uint16_t)(53 + dest));
    return oracle_reply_from(owner, dest);
}

struct udptun_dest oracle_reply_from(unsigned owner, unsigned dest)
{
    if (dest >= SHARED_DESTS)
        return oracle_dest(owner, dest);
    struct udptun_endpoint ep = endpoint_ip4(192, 0, 2, (uint8_t)dest, (uint16_t)(5000 + dest));
    if (dest % 3 == 1) {
        ep = (struct udptun_endpoint){.family = UDPTUN_ENDPOINT_IP6,
                                      .port = (uint16_t)(5000 + dest)};
        ep.ip[0] = 0x20;
        ep.ip[1] = 0x01;
        ep.ip[15] = (uint8_t)dest;
    }
    return udptun_dest_of(&ep);
}

/* Only the bytes, not the pointers. */
static bool same_dest(const struct udptun_dest *a, const struct udptun_dest *b)
{
    if (a->ep.family == UDPTUN_ENDPOINT_NAME || b->ep.family == UDPTUN_ENDPOINT_NAME)
        return a->ep.family == b->ep.family && a->ep.port == b->ep.port &&
               a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
    return endpoint_equal(&a->ep, &b->ep);
}

static struct udptun_dest expected_peer(enum direction d, unsigned owner, unsigned dest)
{
    return d == UP ? oracle_dest(owner, dest) : oracle_reply_from(owner, dest);
}

static void fill(uint8_t *to, size_t size, uint64_t seed)
{
    struct rng r = {seed};
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = rng_u64(&r);
        memcpy(to + i, &word, size - i < 8 ? size - i : 8);
    }
}

static uint64_t tiny_seed(enum direction d, unsigned owner, unsigned dest, size_t size)
{
    return (uint64_t)d << 48 | (uint64_t)owner << 32 | (uint64_t)dest << 16 | size;
}

bool oracle_is_calm(const struct world *w)
{
    return w->now_us > w->last_fault_us + w->settle_us;
}

static struct sent *new_record(struct world *w)
{
    if (w->sent_count == w->sent_room) {
        w->sent_room = w->sent_room ? 2 * w->sent_room : 1024;
        w->sent = realloc(w->sent, w->sent_room * sizeof *w->sent);
        if (!w->sent)
            abort();
    }
    return &w->sent[w->sent_count++];
}

void oracle_sent(struct world *w, const struct datagram *d)
{
    if (d->size < NUMBERED) {
        fill(d->payload, d->size, tiny_seed(d->direction, d->owner, d->dest, d->size));
        w->flows[d->direction][d->owner][d->dest].tiny_sent[d->size]++;
        return;
    }
    uint32_t number = w->sent_count;
    *new_record(w) = (struct sent){.at_us = w->now_us,
                                   .size = (uint32_t)d->size,
                                   .owner = (uint16_t)d->owner,
                                   .dest = (uint8_t)d->dest,
                                   .direction = (uint8_t)d->direction,
                                   .faults = w->faults,
                                   .calm = oracle_is_calm(w),
                                   .serial = d->serial,
                                   .probe = d->probe};
    struct writer out = writer_of(d->payload, d->size);
    writer_u32(&out, MAGIC);
    writer_u32(&out, number);
    fill(d->payload + writer_size(&out), d->size - writer_size(&out), w->seed ^ number);
}

static int tiny_arrived(struct world *w, enum direction d, int *owner,
                        const struct udptun_dest *peer, const uint8_t *payload, size_t size)
{
    /* 10.OWNER.0.DEST, see oracle_dest() */
    unsigned whose = peer->ep.ip[1], dest = peer->ep.ip[3];
    if (peer->ep.family != UDPTUN_ENDPOINT_IP4 || whose >= OWNERS || dest < SHARED_DESTS ||
        dest >= DESTS) {
        broken(w, "a datagram of %zu bytes at a destination that gets none", size);
        return -1;
    }
    if (*owner >= 0 && whose != (unsigned)*owner) {
        broken(w, "a datagram of source %u on the binding of source %d", whose, *owner);
        return -1;
    }
    *owner = (int)whose;
    uint8_t expected[NUMBERED];
    fill(expected, size, tiny_seed(d, whose, dest, size));
    struct flow *f = &w->flows[d][whose][dest];
    if (memcmp(expected, payload, size) != 0)
        broken(w, "a datagram of %zu bytes was altered", size);
    if (++f->tiny_delivered[size] > f->tiny_sent[size])
        broken(w, "a datagram of %zu bytes was duplicated", size);
    return (int)dest;
}

void oracle_classified(struct world *w, const struct udptun_binding *b, size_t size)
{
    struct udptun_binding_info info;
    udptun_binding_look(b, w->now_us, &info);
    if (size >= NUMBERED)
        w->sent[w->sent_count - 1].bulk = info.bulk;
}

void oracle_clocks_forgotten(struct world *w)
{
    memset(w->up_prompt, 0, sizeof w->up_prompt);
    memset(w->down_prompt, 0, sizeof w->down_prompt);
}

/*
 * Nothing is delivered that is older than the deadline. The clocks of the ends have nothing in
 * common, so the receiver measures from the promptest datagrams of the last minute or more. It
 * knows at least those that were delivered here in the last 30 to 60 s, so it may allow as much
 * as the least age among them, and what its clock's steps round off.
 */
static void check_age(const struct node *receiver, const struct sent *s, uint32_t number)
{
    struct world *w = receiver->world;
    unsigned local = s->owner / SOURCES;
    struct prompt *p =
        receiver->server ? &w->up_prompt[receiver->index][local] : &w->down_prompt[local];
    uint64_t age_us = w->now_us - s->at_us;
    if (!p->known || w->now_us - p->window_us > 2 * PROMPT_US) {
        *p = (struct prompt){true, w->now_us, age_us, age_us};
        return;
    }
    uint64_t least_us = p->past_us < p->present_us ? p->past_us : p->present_us;
    uint64_t most_us = least_us + receiver->config.max_queue_delay_ms * 1000 + CLOCK_ERROR_US;
    w->aged++;
    if (age_us > most_us)
        broken(w, "datagram %u was %.3f s old, the promptest lately %.3f s", number,
               (double)age_us / 1e6, (double)least_us / 1e6);
    if (w->now_us - p->window_us > PROMPT_US) {
        p->past_us = p->present_us;
        p->present_us = age_us;
        p->window_us = w->now_us;
    }
    if (age_us < p->present_us)
        p->present_us = age_us;
}

/* Order holds inside a bulk flow while nothing went wrong; a sparse one is spread over legs. */
static void check_order(struct world *w, const struct sent *s, uint32_t number, struct flow *f)
{
    const struct sent *newest = f->newest > 0 ? &w->sent[f->newest - 1] : NULL;
    bool comparable = newest && newest->faults == s->faults && newest->calm && s->calm &&
                      newest->bulk && s->bulk && s->faults == w->faults &&
                      newest->serial == s->serial;
    if (comparable && number + 1 < f->newest)
        broken(w, "datagram %u came after %u of the same flow, and nothing had gone wrong", number,
               f->newest - 1);
    if (number + 1 > f->newest)
        f->newest = number + 1;
}

int oracle_arrived(const struct node *at, int *owner, const struct udptun_dest *peer,
                   const uint8_t *payload, size_t size, bool *probe)
{
    struct world *w = at->world;
    enum direction d = at->server ? UP : DOWN;
    *probe = false;
    w->delivered[d]++;
    w->hash = (w->hash ^ size ^ w->now_us) * UINT64_C(0x100000001b3);
    if (size < NUMBERED)
        return tiny_arrived(w, d, owner, peer, payload, size);

    struct reader in = reader_of(payload, size);
    uint32_t magic = reader_u32(&in), number = reader_u32(&in);
    if (magic != MAGIC || number >= w->sent_count || w->sent[number].size != size ||
        w->sent[number].direction != d) {
        broken(w, "a datagram of %zu bytes that nobody sent", size);
        return -1;
    }
    struct sent *s = &w->sent[number];
    struct udptun_dest expected = expected_peer(d, s->owner, s->dest);
    uint8_t *bytes = malloc(size);
    if (!bytes)
        abort();
    fill(bytes, size - 8, w->seed ^ number);
    if (memcmp(bytes, in.at, size - 8) != 0)
        broken(w, "datagram %u was altered", number);
    free(bytes);
    if (!same_dest(peer, &expected))
        broken(w, "datagram %u has the wrong peer", number);
    if (*owner >= 0 && s->owner != (unsigned)*owner)
        broken(w, "datagram %u of source %u on the binding of source %d", number, s->owner, *owner);
    if (s->delivered)
        broken(w, "datagram %u was delivered twice", number);
    s->delivered = true;
    s->delivered_us = w->now_us;
    *owner = s->owner;
    *probe = s->probe;
    check_age(at, s, number);
    check_order(w, s, number, &w->flows[d][s->owner][s->dest]);
    return s->dest;
}

void oracle_verdict(struct world *w)
{
    for (uint32_t i = 0; i < w->sent_count; i++) {
        const struct sent *s = &w->sent[i];
        if (s->delivered)
            continue;
        if (s->probe)
            broken(w, "probe %u of source %u, sent %.3f s after the last fault, did not go %s", i,
                   s->owner, (double)(s->at_us - w->last_fault_us) / 1e6,
                   s->direction == UP ? "up" : "down");
        if (s->calm && s->faults == w->faults)
            w->calm_lost++;
    }
}
