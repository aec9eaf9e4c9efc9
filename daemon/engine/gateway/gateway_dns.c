/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_dns.c - asks an instance's DNS server for its apps, each question once. */
#include "daemon/engine/gateway/gateway_dns.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/gateway/dns_cache.h"
#include "daemon/engine/gateway/gateway_dns_asked.h"

enum {
    MAX_ASKED = 256,    /* questions under way; the oldest makes room */
    REPEAT_US = 500000, /* a question that is repeated sooner was sent a moment ago */
    ANSWER_SIZE = UINT16_MAX,
};

bool gateway_dns_owns(const struct udptun_endpoint *source)
{
    return endpoint_is_unspecified(source);
}

static void gateway_dns_reply(struct gateway_dns *dns, const struct udptun_endpoint *app,
                              const struct udptun_endpoint *asked, const void *data, size_t size)
{
    tun2socks_datagram(dns->gateway->stack, app, asked, data, size);
}

/* Answer one app; `answer` is adapted in a buffer of its own, for others may wait for it too. */
static void reply_adapted(struct gateway_dns *dns, const struct udptun_endpoint *app,
                          const struct udptun_endpoint *asked, const struct dns_question *q,
                          const void *answer, size_t size, uint32_t age_s)
{
    memcpy(dns->answer, answer, size);
    size = dns_adapt_answer(dns->answer, size, q, age_s);
    gateway_dns_reply(dns, app, asked, dns->answer, size);
}

static void gateway_dns_refuse(struct gateway_dns *dns, const struct udptun_endpoint *app,
                               const struct udptun_endpoint *asked, const void *data, size_t size,
                               enum dns_refusal why)
{
    memcpy(dns->answer, data, size);
    size = dns_refuse(dns->answer, size, why);
    gateway_dns_reply(dns, app, asked, dns->answer, size);
}

/* ---- from an app --------------------------------------------------------------------------------
 */

static bool answer_from_cache(struct gateway_dns *dns, const struct udptun_endpoint *app,
                              const struct udptun_endpoint *asked, const struct dns_question *q,
                              const struct dns_asked *wanted)
{
    size_t size;
    uint32_t age_s;
    const uint8_t *answer =
        dns_cache_find(dns->cache, wanted->key, wanted->key_size, &size, &age_s);
    if (!answer)
        return false;
    dns->counters.cached++;
    reply_adapted(dns, app, asked, q, answer, size, age_s);
    return true;
}

/* The question is under way: wait for its answer with the others. */
static void join(struct gateway_dns *dns, struct dns_asked *a, const struct udptun_endpoint *app,
                 const struct udptun_endpoint *asked, const struct dns_question *q,
                 const void *data, size_t size)
{
    if (asked_waiting(a, app, asked, q->id)) {
        if (dns->gateway->engine->loop.now_us - a->sent_us >= REPEAT_US)
            asked_send(dns, a);
        return;
    }
    if (asked_add_waiting(a, app, asked, data, size))
        dns->counters.shared++;
    else
        dns->counters.unanswered++;
}

static void gateway_dns_ask(struct gateway_dns *dns, const struct udptun_endpoint *app,
                            const struct udptun_endpoint *asked, const struct dns_question *q,
                            const void *data, size_t size)
{
    while (dns->by_id.count >= MAX_ASKED)
        asked_give_up(dns, list_entry(dns->asked.next, struct dns_asked, age));
    struct dns_asked *a = asked_new(dns, q, data, size);
    if (a && asked_add_waiting(a, app, asked, data, size)) {
        asked_send(dns, a);
    } else {
        dns->counters.unanswered++;
        if (a)
            asked_end(dns, a);
    }
    asked_set_timer(dns);
}

void gateway_dns_datagram(struct gateway_dns *dns, const struct udptun_endpoint *app,
                          const struct udptun_endpoint *asked, const void *data, size_t size)
{
    struct dns_question q;
    dns->counters.questions++;
    if (!dns_read_question(data, size, &q)) {
        if (size >= DNS_HEADER_SIZE && !(((const uint8_t *)data)[2] & 0x80))
            gateway_dns_refuse(dns, app, asked, data, size, DNS_FORMAT_ERROR);
        dns->counters.unanswered++;
        return;
    }
    if (!dns->gateway->udp) { /* `udp` is "reject": TCP may do */
        gateway_dns_refuse(dns, app, asked, data, size, DNS_TRUNCATED);
        return;
    }
    if (!q.is_plain) {
        gateway_dns_ask(dns, app, asked, &q, data, size);
        return;
    }
    struct dns_asked wanted = {.key_size = 0};
    wanted.key_size = dns_key(&q, wanted.key);
    if (answer_from_cache(dns, app, asked, &q, &wanted))
        return;
    struct dns_asked *same = asked_by_key(dns, &wanted);
    if (same)
        join(dns, same, app, asked, &q, data, size);
    else
        gateway_dns_ask(dns, app, asked, &q, data, size);
}

/* ---- from the server ----------------------------------------------------------------------------
 */

static bool is_from_server(const struct gateway_dns *dns, const struct udptun_endpoint *from)
{
    const struct udptun_endpoint *server = &dns->gateway->config->dns_server;
    /* The address of a name is known to the far end alone. */
    return server->family == UDPTUN_ENDPOINT_NAME || endpoint_equal(server, from);
}

void gateway_dns_answer(struct gateway_dns *dns, const struct udptun_endpoint *path,
                        const struct udptun_endpoint *from, const void *data, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)data;
    struct dns_asked *a =
        size >= DNS_HEADER_SIZE && size <= ANSWER_SIZE && is_from_server(dns, from)
            ? asked_by_id(dns, (uint16_t)(bytes[0] << 8 | bytes[1]))
            : NULL;
    if (!a || !endpoint_equal(&a->path->source, path) ||
        !dns_is_answer(data, size, a->id, a->question, a->question_size))
        return;
    LIST_FOREACH (at, &a->waiting) {
        const struct dns_waiting *w = list_entry(at, struct dns_waiting, node);
        struct dns_question q;
        dns_read_question(w->message, w->size, &q);
        if (!a->is_plain)
            q.udp_size = UINT16_MAX; /* what the server found right is */
        reply_adapted(dns, &w->app, &w->asked, &q, data, size, 0);
    }
    uint32_t ttl_s = a->key_size ? dns_answer_ttl(data, size) : 0;
    if (ttl_s > 0)
        dns_cache_put(dns->cache, a->key, a->key_size, data, size, ttl_s);
    asked_end(dns, a);
    asked_set_timer(dns);
}

void gateway_dns_unreachable(struct gateway_dns *dns, const struct udptun_endpoint *path,
                             enum tun2socks_unreachable why)
{
    if (why == TUN2SOCKS_TOO_BIG)
        return; /* of an answer that was larger than asked for; none comes */
    LIST_FOREACH_SAFE (at, &dns->asked) {
        struct dns_asked *a = list_entry(at, struct dns_asked, age);
        if (!endpoint_equal(&a->path->source, path))
            continue;
        LIST_FOREACH (waits, &a->waiting) {
            const struct dns_waiting *w = list_entry(waits, struct dns_waiting, node);
            gateway_dns_refuse(dns, &w->app, &w->asked, w->message, w->size, DNS_SERVER_FAILURE);
        }
        asked_give_up(dns, a);
    }
    asked_set_timer(dns);
}

/* ---- life ---------------------------------------------------------------------------------------
 */

struct gateway_dns_counters gateway_dns_look(const struct gateway_dns *dns)
{
    struct gateway_dns_counters counters = dns->counters;
    counters.entries = dns_cache_count(dns->cache);
    return counters;
}

struct gateway_dns *gateway_dns_new(struct gateway *t)
{
    struct gateway_dns *dns = (struct gateway_dns *)calloc(1, sizeof *dns);
    if (!dns)
        return NULL;
    dns->gateway = t;
    dns->answer = (uint8_t *)malloc(ANSWER_SIZE);
    dns->cache = dns_cache_new(t->engine, (size_t)t->config->given.dns_cache);
    asked_init(dns);
    if (dns->answer && dns->cache)
        return dns;
    gateway_dns_free(dns);
    return NULL;
}

void gateway_dns_free(struct gateway_dns *dns)
{
    if (!dns)
        return;
    asked_fini(dns);
    dns_cache_free(dns->cache);
    free(dns->answer);
    free(dns);
}
