/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_dns_asked.h - the questions of gateway_dns.h that are under way, their paths, who waits.
 */
#ifndef ENGINE_GATEWAY_DNS_ASKED_H
#define ENGINE_GATEWAY_DNS_ASKED_H

#include "daemon/engine/gateway/gateway.h"
#include "proto/dns/dns.h"

/* One more app, as the far ends of UDP see us. */
struct dns_path {
    struct udptun_endpoint source;
    void *binding; /* what gateway_udp_ops keep for it */
    unsigned users;
    bool is_shared;
};

/* An app that waits for an answer. */
struct dns_waiting {
    struct list node;
    struct udptun_endpoint app, asked;
    size_t size;
    uint8_t message[]; /* its question */
};

/* A question that was sent to the server. */
struct dns_asked {
    struct list age; /* struct gateway_dns.asked, the oldest first, or .over */
    struct table_node by_key, by_id;
    struct dns_path *path;
    struct list waiting; /* struct dns_waiting.node, at least one */
    unsigned waiting_count;
    uint64_t asked_us, sent_us;
    uint16_t id;
    bool is_plain;
    size_t key_size, size, question_size; /* key_size 0: it is not plain */
    const uint8_t *question;              /* in `message` */
    uint8_t *message;                     /* as it was sent */
    uint8_t key[DNS_KEY_SIZE];
};

struct gateway_dns {
    struct gateway *gateway;
    struct dns_cache *cache;
    struct list asked;
    struct list over; /* struct dns_asked.age: to be freed, when nobody below can use their paths */
    struct table by_key, by_id;
    struct dns_path *shared; /* NULL: none is open */
    uint16_t next_path;
    struct timer timer; /* for the oldest question, or the idle path */
    uint64_t path_used_us;
    struct gateway_dns_counters counters;
    uint8_t *answer; /* for the answer that is being handed out */
};

/* The question under way that is equal to `wanted` by its key, or has that id. NULL: there is none.
 */
struct dns_asked *asked_by_key(const struct gateway_dns *dns, const struct dns_asked *wanted);
struct dns_asked *asked_by_id(const struct gateway_dns *dns, uint16_t id);

/* A new question, not sent yet: `data` holds `q`. NULL: out of memory. */
struct dns_asked *asked_new(struct gateway_dns *dns, const struct dns_question *q, const void *data,
                            size_t size);
/* Send it, for the first time or again. */
void asked_send(struct gateway_dns *dns, struct dns_asked *a);
/* The question is over: nothing finds it any more. It may be a far end that says so, below whose
 * call its path must stay. */
void asked_end(struct gateway_dns *dns, struct dns_asked *a);
/* The same, and nobody got an answer. */
void asked_give_up(struct gateway_dns *dns, struct dns_asked *a);

/* The one that waits at `app` for an answer from `asked` to its question `id`, or NULL. */
struct dns_waiting *asked_waiting(struct dns_asked *a, const struct udptun_endpoint *app,
                                  const struct udptun_endpoint *asked, uint16_t id);
/* False: too many do, or out of memory. */
bool asked_add_waiting(struct dns_asked *a, const struct udptun_endpoint *app,
                       const struct udptun_endpoint *asked, const void *data, size_t size);

/* To be called after any change. */
void asked_set_timer(struct gateway_dns *dns);
void asked_init(struct gateway_dns *dns);
/* Gives all of them up. */
void asked_fini(struct gateway_dns *dns);

#endif
