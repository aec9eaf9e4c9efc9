/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nf.h - nf_tables spoken directly over netlink (linux/netfilter/nf_tables.h): a batch of messages
 * that the kernel carries out as a whole or not at all, and rules built of matches.
 *
 * Only what firewall.h needs. A match loads something into register 1 and compares it.
 */
#ifndef PROXY_LINUX_NF_H
#define PROXY_LINUX_NF_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/error.h"

enum { NF_BATCH_SIZE = 65536 };

struct nf_batch {
    union {
        struct nlmsghdr first; /* for its alignment */
        char bytes[NF_BATCH_SIZE];
    };
    size_t size;
    size_t message;                          /* where the message under construction begins */
    size_t expressions, expression, content; /* nests of the rule under construction */
    uint32_t sequence;
    const char *table;
    bool full; /* something did not fit */
};

/* Begin a batch for the table of family inet with this name. */
void nf_begin(struct nf_batch *b, const char *table);
/* Commit it. 0 or -errno; -EOPNOTSUPP and its like: this kernel has no nf_tables. */
int nf_commit(struct nf_batch *b);
/* How many rules the table has; -1: it does not exist, or cannot be read. */
int nf_count_rules(const char *table);

/* The table is empty afterwards, and exists if `keep`. */
void nf_add_table_anew(struct nf_batch *b, bool keep);
/* `type` "filter" or "route"; `hook` NF_INET_...; `priority` as in the kernel. Passes what no rule
 * drops. */
void nf_add_chain(struct nf_batch *b, const char *name, const char *type, uint32_t hook,
                  int32_t priority);

/* A rule: nf_rule(), matches, one of the verdicts. All matches must hold. */
void nf_rule(struct nf_batch *b, const char *chain);
void nf_accept(struct nf_batch *b);
void nf_drop(struct nf_batch *b);
void nf_set_mark(struct nf_batch *b, uint32_t mark);

void nf_match_in(struct nf_batch *b, uint32_t device, bool equal);
void nf_match_out(struct nf_batch *b, uint32_t device, bool equal);
void nf_match_mark(struct nf_batch *b, uint32_t mark, bool equal);
/* AF_INET or AF_INET6, and the destination is in the prefix. */
void nf_match_to(struct nf_batch *b, uint8_t family, const uint8_t *to, unsigned bits);
void nf_match_protocol(struct nf_batch *b, uint8_t protocol);
/* After nf_match_protocol(UDP or TCP). */
void nf_match_source_port(struct nf_batch *b, uint16_t port);
void nf_match_port(struct nf_batch *b, uint16_t port);
/* After nf_match_protocol(ICMPv6). */
void nf_match_icmp_types(struct nf_batch *b, uint8_t first, uint8_t last);

#endif
