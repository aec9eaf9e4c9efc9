/* SPDX-License-Identifier: Apache-2.0 */
/* firewall.c - see firewall.h. */
#include "controller/proxy/linux/firewall.h"

/* First: the kernel's headers leave out what it has. */
#include <netinet/in.h>

#include <errno.h>
#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "controller/proxy/linux/nf.h"

#define TABLE "ProxyController"

enum {
    LOOPBACK = 1, /* its index in every network namespace */
    RAW = -300,   /* priorities of chains, as iptables names them */
    MANGLE = -150,
    FILTER = 0,
    DNS_PORT = 53,
};

/* A table under construction. */
struct chain_draft {
    struct nf_batch *batch;
    const struct wish *wish;
    const struct survey *survey;
    int rules;
};

static struct nf_batch *rule(struct chain_draft *d, const char *chain)
{
    d->rules++;
    nf_rule(d->batch, chain);
    return d->batch;
}

static uint8_t family_of(const struct udptun_endpoint *ep)
{
    return ep->family == UDPTUN_ENDPOINT_IP4 ? AF_INET : AF_INET6;
}

static unsigned bits_of(const struct udptun_endpoint *ep)
{
    return ep->family == UDPTUN_ENDPOINT_IP4 ? 32 : 128;
}

static void add_refuse(struct chain_draft *d)
{
    const struct udptun_endpoint *const own[] = {&d->wish->address, &d->wish->address6};
    nf_add_chain(d->batch, "refuse", "filter", NF_INET_PRE_ROUTING, RAW);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (own[i]->family == UDPTUN_ENDPOINT_NONE)
            continue;
        struct nf_batch *b = rule(d, "refuse");
        nf_match_in(b, d->wish->device, false);
        nf_match_in(b, LOOPBACK, false);
        nf_match_to(b, family_of(own[i]), own[i]->ip, bits_of(own[i]));
        nf_drop(b);
    }
}

/* What stays outside of the device by the client's wish, or by its nature. */
static void accept_asides(struct chain_draft *d, const char *chain)
{
    struct nf_batch *b = rule(d, chain);
    nf_match_out(b, d->wish->device, true);
    nf_accept(b);
    b = rule(d, chain);
    nf_match_out(b, LOOPBACK, true);
    nf_accept(b);
    if (d->wish->mark) {
        b = rule(d, chain);
        nf_match_mark(b, d->wish->mark, true);
        nf_accept(b);
    }
    for (size_t i = 0; i < d->wish->aside_count; i++) {
        const struct udptun_endpoint *to = &d->wish->aside[i];
        b = rule(d, chain);
        nf_match_to(b, family_of(to), to->ip, bits_of(to));
        nf_accept(b);
    }
}

enum dns_verdict { DNS_MARK, DNS_DROP };

static void add_dns(struct chain_draft *d, const char *chain, enum dns_verdict verdict)
{
    static const uint8_t protocols[] = {IPPROTO_UDP, IPPROTO_TCP};
    for (size_t i = 0; i < sizeof protocols; i++) {
        struct nf_batch *b = rule(d, chain);
        nf_match_protocol(b, protocols[i]);
        nf_match_port(b, DNS_PORT);
        if (verdict == DNS_MARK)
            nf_set_mark(b, WISH_DNS_MARK);
        else
            nf_drop(b);
    }
}

static void accept_lan(struct chain_draft *d, const char *chain)
{
    static const struct {
        uint8_t family, bits, to[16];
    } groups[] = {{AF_INET, 4, {224}}, {AF_INET, 32, {255, 255, 255, 255}}, {AF_INET6, 8, {0xff}}};
    for (size_t i = 0; i < d->survey->network_count; i++) {
        const struct survey_network *network = &d->survey->networks[i];
        if (!network->is_lan)
            continue;
        struct nf_batch *b = rule(d, chain);
        nf_match_out(b, network->device, true);
        nf_match_to(b, network->family, network->to, network->prefix_size);
        nf_accept(b);
    }
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct nf_batch *b = rule(d, chain);
        nf_match_to(b, groups[i].family, groups[i].to, groups[i].bits);
        nf_accept(b);
    }
}

/* Without these the machine has no address and no router. */
static void accept_link(struct chain_draft *d, const char *chain)
{
    static const struct {
        uint8_t first, last;
    } icmp6[] = {{130, 132}, {133, 136}, {143, 143}}; /* RFC 2710, 4861, 3810 */
    static const uint16_t dhcp[][2] = {{68, 67}, {546, 547}};
    struct nf_batch *b;
    for (size_t i = 0; i < sizeof icmp6 / sizeof *icmp6; i++) {
        b = rule(d, chain);
        nf_match_protocol(b, IPPROTO_ICMPV6);
        nf_match_icmp_types(b, icmp6[i].first, icmp6[i].last);
        nf_accept(b);
    }
    for (size_t i = 0; i < sizeof dhcp / sizeof *dhcp; i++) {
        b = rule(d, chain);
        nf_match_protocol(b, IPPROTO_UDP);
        nf_match_source_port(b, dhcp[i][0]);
        nf_match_port(b, dhcp[i][1]);
        nf_accept(b);
    }
}

static void add_leave(struct chain_draft *d, const char *chain, uint32_t hook)
{
    nf_add_chain(d->batch, chain, "filter", hook, FILTER);
    if (hook == NF_INET_FORWARD) { /* answers to those whose packets came into the device */
        struct nf_batch *b = rule(d, chain);
        nf_match_in(b, d->wish->device, true);
        nf_accept(b);
    }
    accept_asides(d, chain);
    /* A hook goes on with the device that a packet had before it was routed once more. */
    if (d->wish->dns && hook == NF_INET_LOCAL_OUT) {
        struct nf_batch *b = rule(d, chain);
        nf_match_mark(b, WISH_DNS_MARK, true);
        nf_accept(b);
    }
    if (d->wish->dns)
        add_dns(d, chain, DNS_DROP);
    if (!d->wish->strict)
        return;
    if (d->wish->allow_lan)
        accept_lan(d, chain);
    if (hook == NF_INET_LOCAL_OUT)
        accept_link(d, chain);
    nf_drop(rule(d, chain));
}

/* A question that is bound to another device is steered in vain. */
static void add_last(struct chain_draft *d)
{
    nf_add_chain(d->batch, "last", "filter", NF_INET_POST_ROUTING, FILTER);
    struct nf_batch *b = rule(d, "last");
    nf_match_mark(b, WISH_DNS_MARK, true);
    nf_match_out(b, d->wish->device, false);
    nf_drop(b);
}

static void build(struct chain_draft *d)
{
    nf_add_table_anew(d->batch, true);
    add_refuse(d);
    if (d->wish->dns) {
        nf_add_chain(d->batch, "steer", "route", NF_INET_LOCAL_OUT, MANGLE);
        accept_asides(d, "steer");
        add_dns(d, "steer", DNS_MARK);
        add_last(d);
    }
    if (d->wish->dns || d->wish->strict) {
        add_leave(d, "leave", NF_INET_LOCAL_OUT);
        add_leave(d, "pass", NF_INET_FORWARD);
    }
}

static int remove_table(struct firewall *f, struct nf_batch *batch)
{
    f->rules = 0;
    nf_begin(batch, TABLE);
    nf_add_table_anew(batch, false);
    int rc = nf_commit(batch);
    return rc == -EOPNOTSUPP || rc == -EPERM ? 0 : rc; /* then there is none of ours */
}

/* The batch is what was committed last. */
static bool is_last(const struct firewall *f, const struct nf_batch *batch)
{
    return f->last && f->last_size == batch->size &&
           memcmp(f->last, batch->bytes, batch->size) == 0;
}

static void keep_last(struct firewall *f, const struct nf_batch *batch)
{
    free(f->last);
    f->last_size = batch->size;
    f->last = malloc(batch->size);
    if (f->last)
        memcpy(f->last, batch->bytes, batch->size);
}

static int set_table(struct firewall *f, struct chain_draft *d, bool *repaired)
{
    nf_begin(d->batch, TABLE);
    build(d);
    bool was_set = f->rules > 0 && is_last(f, d->batch);
    if (was_set && nf_count_rules(TABLE) == d->rules)
        return 0;
    keep_last(f, d->batch);
    int rc = nf_commit(d->batch);
    f->rules = rc == 0 ? d->rules : 0;
    if (repaired && was_set && rc == 0)
        *repaired = true;
    return rc;
}

int firewall_set(struct firewall *f, const struct wish *wish, const struct survey *survey,
                 bool *repaired)
{
    struct nf_batch *batch = malloc(sizeof *batch);
    struct chain_draft d = {.batch = batch, .wish = wish, .survey = survey};
    if (!batch)
        return -ENOMEM;
    int rc = wish ? set_table(f, &d, repaired) : remove_table(f, batch);
    free(batch);
    return rc;
}

void firewall_forget(struct firewall *f)
{
    free(f->last);
    *f = (struct firewall){0};
}
