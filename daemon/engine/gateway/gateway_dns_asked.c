/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_dns_asked.c - DNS questions under way: asked once, waited for by many, given up in time.
 */
#include "daemon/engine/gateway/gateway_dns_asked.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

enum {
    MAX_WAITING = 64, /* apps for one answer */
    ANSWER_US = 10000000,
    PATH_IDLE_US = 15000000, /* of a path that questions share */
};

static uint64_t now_us(const struct gateway_dns *dns)
{
    return dns->gateway->engine->loop.now_us;
}

/* ---- paths --------------------------------------------------------------------------------------
 */

static struct dns_path *path_open(struct gateway_dns *dns)
{
    struct gateway *t = dns->gateway;
    bool is_shared = t->config->udp == GATEWAY_SOCKS5;
    if (is_shared && dns->shared) {
        dns->shared->users++;
        return dns->shared;
    }
    struct dns_path *p = (struct dns_path *)calloc(1, sizeof *p);
    if (!p)
        return NULL;
    const struct udptun_endpoint *server = &t->config->dns_server;
    bool is_ip6 = server->family == UDPTUN_ENDPOINT_IP6;
    p->source.family = is_ip6 ? UDPTUN_ENDPOINT_IP6 : UDPTUN_ENDPOINT_IP4;
    p->source.port = ++dns->next_path;
    p->is_shared = is_shared;
    p->users = 1;
    if (is_shared)
        dns->shared = p;
    return p;
}

static void path_end(struct gateway_dns *dns, struct dns_path *p)
{
    if (p->binding)
        dns->gateway->udp->binding_close(dns->gateway, p->binding);
    if (dns->shared == p)
        dns->shared = NULL;
    free(p);
}

static void path_release(struct gateway_dns *dns, struct dns_path *p)
{
    p->users--;
    if (p->is_shared)
        dns->path_used_us = now_us(dns);
    else
        path_end(dns, p);
}

/* ---- questions under way ------------------------------------------------------------------------
 */

static bool is_key(const struct table_node *node, const void *arg)
{
    const struct dns_asked *a = table_entry(node, const struct dns_asked, by_key);
    const struct dns_asked *wanted = (const struct dns_asked *)arg;
    return a->key_size == wanted->key_size && memcmp(a->key, wanted->key, a->key_size) == 0;
}

static bool is_id(const struct table_node *node, const void *arg)
{
    return table_entry(node, const struct dns_asked, by_id)->id == *(const uint16_t *)arg;
}

struct dns_asked *asked_by_id(const struct gateway_dns *dns, uint16_t id)
{
    struct table_node *node = table_find(&dns->by_id, id, is_id, &id);
    return node ? table_entry(node, struct dns_asked, by_id) : NULL;
}

void asked_end(struct gateway_dns *dns, struct dns_asked *a)
{
    LIST_FOREACH_SAFE (at, &a->waiting) {
        list_remove(at);
        free(list_entry(at, struct dns_waiting, node));
    }
    a->waiting_count = 0;
    table_remove(&dns->by_id, &a->by_id);
    if (a->key_size)
        table_remove(&dns->by_key, &a->by_key);
    list_move(&dns->over, &a->age);
}

void asked_give_up(struct gateway_dns *dns, struct dns_asked *a)
{
    dns->counters.unanswered += a->waiting_count;
    asked_end(dns, a);
}

static void free_over(struct gateway_dns *dns)
{
    LIST_FOREACH_SAFE (at, &dns->over) {
        struct dns_asked *a = list_entry(at, struct dns_asked, age);
        list_remove(&a->age);
        path_release(dns, a->path);
        free(a->message);
        free(a);
    }
}

void asked_set_timer(struct gateway_dns *dns)
{
    uint64_t at_us = UINT64_MAX;
    if (!list_empty(&dns->over))
        at_us = 0;
    else if (!list_empty(&dns->asked))
        at_us = list_entry(dns->asked.next, struct dns_asked, age)->asked_us + ANSWER_US;
    else if (dns->shared)
        at_us = dns->path_used_us + PATH_IDLE_US;
    if (at_us == UINT64_MAX)
        timer_stop(&dns->timer);
    else
        timer_start(&dns->timer, at_us > now_us(dns) ? at_us - now_us(dns) : 0);
}

static void on_gateway_dns_asked_timer(void *arg)
{
    struct gateway_dns *dns = (struct gateway_dns *)arg;
    while (!list_empty(&dns->asked)) {
        struct dns_asked *a = list_entry(dns->asked.next, struct dns_asked, age);
        if (a->asked_us + ANSWER_US > now_us(dns))
            break;
        asked_give_up(dns, a);
    }
    free_over(dns);
    if (dns->shared && dns->shared->users == 0 && dns->path_used_us + PATH_IDLE_US <= now_us(dns))
        path_end(dns, dns->shared);
    asked_set_timer(dns);
}

struct dns_asked *asked_by_key(const struct gateway_dns *dns, const struct dns_asked *wanted)
{
    uint64_t hash = engine_hash(dns->gateway->engine, wanted->key, wanted->key_size);
    struct table_node *node = table_find(&dns->by_key, hash, is_key, wanted);
    return node ? table_entry(node, struct dns_asked, by_key) : NULL;
}

/* Not to be guessed, and not that of another question. */
static uint16_t new_id(const struct gateway_dns *dns)
{
    uint16_t id;
    do
        id = (uint16_t)randombytes_random();
    while (asked_by_id(dns, id));
    return id;
}

void asked_send(struct gateway_dns *dns, struct dns_asked *a)
{
    struct gateway *t = dns->gateway;
    a->sent_us = now_us(dns);
    t->udp->datagram(t, &a->path->binding, &a->path->source, &t->config->dns_server, a->message,
                     a->size);
}

/* The message for the server: a plain question in our own words, any other but for its id. */
static bool write_message(struct dns_asked *a, const struct dns_question *q, const void *data,
                          size_t size)
{
    size_t room = a->is_plain ? DNS_WRITTEN_MAX : size;
    a->message = (uint8_t *)malloc(room);
    if (!a->message)
        return false;
    if (a->is_plain) {
        a->size = dns_write_question(q, a->id, a->message);
    } else {
        memcpy(a->message, data, size);
        a->message[0] = (uint8_t)(a->id >> 8);
        a->message[1] = (uint8_t)a->id;
        a->size = size;
    }
    a->question = a->message + DNS_HEADER_SIZE;
    a->question_size = q->question_size;
    return true;
}

struct dns_asked *asked_new(struct gateway_dns *dns, const struct dns_question *q, const void *data,
                            size_t size)
{
    struct dns_asked *a = (struct dns_asked *)calloc(1, sizeof *a);
    if (!a)
        return NULL;
    list_init(&a->age);
    list_init(&a->waiting);
    a->id = new_id(dns);
    a->is_plain = q->is_plain;
    a->asked_us = now_us(dns);
    a->path = path_open(dns);
    if (!a->path || !write_message(a, q, data, size) ||
        table_insert(&dns->by_id, &a->by_id, a->id) != UDPTUN_OK) {
        if (a->path)
            path_release(dns, a->path);
        free(a->message);
        free(a);
        return NULL;
    }
    if (a->is_plain) {
        size_t key_size = dns_key(q, a->key);
        if (table_insert(&dns->by_key, &a->by_key,
                         engine_hash(dns->gateway->engine, a->key, key_size)) == UDPTUN_OK)
            a->key_size = key_size; /* else it is merely not shared */
    }
    list_append(&dns->asked, &a->age);
    return a;
}

/* ---- apps that wait -----------------------------------------------------------------------------
 */

struct dns_waiting *asked_waiting(struct dns_asked *a, const struct udptun_endpoint *app,
                                  const struct udptun_endpoint *asked, uint16_t id)
{
    LIST_FOREACH (at, &a->waiting) {
        struct dns_waiting *w = list_entry(at, struct dns_waiting, node);
        if (endpoint_equal(&w->app, app) && endpoint_equal(&w->asked, asked) &&
            w->message[0] == id >> 8 && w->message[1] == (id & 0xff))
            return w;
    }
    return NULL;
}

bool asked_add_waiting(struct dns_asked *a, const struct udptun_endpoint *app,
                       const struct udptun_endpoint *asked, const void *data, size_t size)
{
    struct dns_waiting *w = NULL;
    if (a->waiting_count < MAX_WAITING)
        w = (struct dns_waiting *)malloc(sizeof *w + size);
    if (!w)
        return false;
    w->app = *app;
    w->asked = *asked;
    w->size = size;
    memcpy(w->message, data, size);
    list_init(&w->node);
    list_append(&a->waiting, &w->node);
    a->waiting_count++;
    return true;
}

void asked_init(struct gateway_dns *dns)
{
    list_init(&dns->asked);
    list_init(&dns->over);
    table_init(&dns->by_key);
    table_init(&dns->by_id);
    timer_init(&dns->timer, &dns->gateway->engine->loop, on_gateway_dns_asked_timer, dns);
}

void asked_fini(struct gateway_dns *dns)
{
    LIST_FOREACH_SAFE (at, &dns->asked)
        asked_give_up(dns, list_entry(at, struct dns_asked, age));
    free_over(dns);
    if (dns->shared)
        path_end(dns, dns->shared);
    timer_stop(&dns->timer);
    table_fini(&dns->by_key);
    table_fini(&dns->by_id);
}
