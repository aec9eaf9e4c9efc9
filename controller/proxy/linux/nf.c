/* SPDX-License-Identifier: Apache-2.0 */
/* nf.c - see nf.h. Numbers inside nf_tables messages are in network byte order; what a match
 * compares is as the kernel has it: marks and indexes of devices in host byte order. */
#include "controller/proxy/linux/nf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "controller/proxy/linux/netlink.h"

enum { PATIENCE_S = 5 };

static const size_t HEADER = sizeof(struct nlattr); /* of an attribute; a multiple of 4 */

/* ---- messages -------------------------------------------------------------------------------- */

static void *nf_append(struct nf_batch *b, size_t size)
{
    size_t room = NLMSG_ALIGN(size);
    if (b->size + room > sizeof b->bytes) {
        b->full = true;
        b->size = 0; /* never sent: what follows may as well be written over it */
        b->message = b->expressions = b->expression = b->content = 0;
    }
    void *at = b->bytes + b->size;
    memset(at, 0, room);
    b->size += room;
    return at;
}

static void nf_put(struct nf_batch *b, uint16_t type, const void *data, size_t size)
{
    struct nlattr *attribute = nf_append(b, HEADER + size);
    attribute->nla_type = type;
    attribute->nla_len = (uint16_t)(HEADER + size);
    if (size > 0)
        memcpy((char *)attribute + HEADER, data, size);
}

static void put_u32(struct nf_batch *b, uint16_t type, uint32_t value)
{
    uint32_t ordered = htonl(value);
    nf_put(b, type, &ordered, sizeof ordered);
}

static void nf_put_text(struct nf_batch *b, uint16_t type, const char *text)
{
    nf_put(b, type, text, strlen(text) + 1);
}

/* Where the nest begins, for end_nest(). */
static size_t nest(struct nf_batch *b, uint16_t type)
{
    size_t at = b->size;
    nf_put(b, (uint16_t)(type | NLA_F_NESTED), NULL, 0);
    return b->full ? 0 : at;
}

static void end_nest(struct nf_batch *b, size_t at)
{
    struct nlattr *attribute = (struct nlattr *)(void *)(b->bytes + at);
    attribute->nla_len = (uint16_t)(b->size - at);
}

static void end_message(struct nf_batch *b)
{
    if (b->size > b->message)
        ((struct nlmsghdr *)(void *)(b->bytes + b->message))->nlmsg_len =
            (uint32_t)(b->size - b->message);
}

static void begin_message(struct nf_batch *b, uint16_t type, uint16_t flags, uint8_t family,
                          uint16_t resource)
{
    end_message(b);
    b->message = b->size;
    struct nlmsghdr *header = nf_append(b, NLMSG_HDRLEN + sizeof(struct nfgenmsg));
    header->nlmsg_type = type;
    header->nlmsg_flags = NLM_F_REQUEST | flags;
    header->nlmsg_seq = ++b->sequence;
    struct nfgenmsg *body = NLMSG_DATA(header);
    body->nfgen_family = family;
    body->version = NFNETLINK_V0;
    body->res_id = htons(resource);
}

static void nf_begin_message(struct nf_batch *b, unsigned type, uint16_t flags)
{
    begin_message(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, NFPROTO_INET, 0);
}

void nf_begin(struct nf_batch *b, const char *table)
{
    memset(b, 0, sizeof *b);
    b->table = table;
    begin_message(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static int nf_open_socket(void)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* Read answers until that to `last`; the first error of them. The end of a dump, and an error about
 * the beginning of a batch, are the last. `*count` (may be NULL): messages of another kind. */
static int hear(int fd, uint32_t last, int *count)
{
    int result = 0;
    for (;;) {
        union {
            struct nlmsghdr header;
            char bytes[16384];
        } answer;
        ssize_t size = nl_receive(fd, &answer, sizeof answer);
        if (size < 0)
            return (int)size;
        size_t left = (size_t)size;
        for (struct nlmsghdr *h = &answer.header; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_DONE)
                return result;
            if (h->nlmsg_type != NLMSG_ERROR) {
                if (count)
                    (*count)++;
                continue;
            }
            int code = ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
            result = result < 0 ? result : code;
            if (h->nlmsg_seq == last || h->nlmsg_seq == 1)
                return result;
        }
    }
}

static int nf_talk(struct nf_batch *b, uint32_t last, int *count)
{
    int fd = nf_open_socket();
    if (fd < 0)
        return -errno;
    int rc = send(fd, b->bytes, b->size, 0) < 0 ? -errno : hear(fd, last, count);
    close(fd);
    return rc;
}

int nf_commit(struct nf_batch *b)
{
    uint32_t last = b->sequence;
    end_message(b);
    if (!b->full) /* with its acknowledgement everything is told */
        ((struct nlmsghdr *)(void *)(b->bytes + b->message))->nlmsg_flags |= NLM_F_ACK;
    begin_message(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    end_message(b);
    return b->full ? -ENOSPC : nf_talk(b, last, NULL);
}

int nf_count_rules(const char *table)
{
    struct nf_batch b;
    int count = 0;
    b.size = b.message = 0;
    b.sequence = 1; /* not 1, which ends a batch */
    b.full = false;
    nf_begin_message(&b, NFT_MSG_GETRULE, NLM_F_DUMP);
    nf_put_text(&b, NFTA_RULE_TABLE, table);
    end_message(&b);
    return nf_talk(&b, b.sequence, &count) < 0 ? -1 : count;
}

/* ---- tables, chains, rules ------------------------------------------------------------------- */

void nf_add_table_anew(struct nf_batch *b, bool keep)
{
    /* One that does not exist cannot be deleted. */
    nf_begin_message(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    nf_put_text(b, NFTA_TABLE_NAME, b->table);
    nf_begin_message(b, NFT_MSG_DELTABLE, 0);
    nf_put_text(b, NFTA_TABLE_NAME, b->table);
    if (!keep)
        return;
    nf_begin_message(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    nf_put_text(b, NFTA_TABLE_NAME, b->table);
}

void nf_add_chain(struct nf_batch *b, const char *name, const char *type, uint32_t hook,
                  int32_t priority)
{
    nf_begin_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    nf_put_text(b, NFTA_CHAIN_TABLE, b->table);
    nf_put_text(b, NFTA_CHAIN_NAME, name);
    nf_put_text(b, NFTA_CHAIN_TYPE, type);
    size_t at = nest(b, NFTA_CHAIN_HOOK);
    put_u32(b, NFTA_HOOK_HOOKNUM, hook);
    put_u32(b, NFTA_HOOK_PRIORITY, (uint32_t)priority);
    end_nest(b, at);
}

void nf_rule(struct nf_batch *b, const char *chain)
{
    nf_begin_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    nf_put_text(b, NFTA_RULE_TABLE, b->table);
    nf_put_text(b, NFTA_RULE_CHAIN, chain);
    b->expressions = nest(b, NFTA_RULE_EXPRESSIONS);
}

static void expression(struct nf_batch *b, const char *name)
{
    b->expression = nest(b, NFTA_LIST_ELEM);
    nf_put_text(b, NFTA_EXPR_NAME, name);
    b->content = nest(b, NFTA_EXPR_DATA);
}

/* The nests around grow with what is put into them; their length is what counts. */
static void end_expression(struct nf_batch *b)
{
    end_nest(b, b->content);
    end_nest(b, b->expression);
    end_nest(b, b->expressions);
}

static void put_value(struct nf_batch *b, uint16_t type, const void *value, size_t size)
{
    size_t at = nest(b, type);
    nf_put(b, NFTA_DATA_VALUE, value, size);
    end_nest(b, at);
}

static void verdict(struct nf_batch *b, uint32_t code)
{
    expression(b, "immediate");
    put_u32(b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    size_t data = nest(b, NFTA_IMMEDIATE_DATA);
    size_t inner = nest(b, NFTA_DATA_VERDICT);
    put_u32(b, NFTA_VERDICT_CODE, code);
    end_nest(b, inner);
    end_nest(b, data);
    end_expression(b);
}

void nf_accept(struct nf_batch *b)
{
    verdict(b, NF_ACCEPT);
}

void nf_drop(struct nf_batch *b)
{
    verdict(b, NF_DROP);
}

void nf_set_mark(struct nf_batch *b, uint32_t mark)
{
    expression(b, "immediate");
    put_u32(b, NFTA_IMMEDIATE_DREG, NFT_REG_1);
    put_value(b, NFTA_IMMEDIATE_DATA, &mark, sizeof mark);
    end_expression(b);
    expression(b, "meta");
    put_u32(b, NFTA_META_KEY, NFT_META_MARK);
    put_u32(b, NFTA_META_SREG, NFT_REG_1);
    end_expression(b);
}

/* ---- matches --------------------------------------------------------------------------------- */

static void nf_compare(struct nf_batch *b, uint32_t how, const void *value, size_t size)
{
    expression(b, "cmp");
    put_u32(b, NFTA_CMP_SREG, NFT_REG_1);
    put_u32(b, NFTA_CMP_OP, how);
    put_value(b, NFTA_CMP_DATA, value, size);
    end_expression(b);
}

static void load_meta(struct nf_batch *b, uint32_t key)
{
    expression(b, "meta");
    put_u32(b, NFTA_META_DREG, NFT_REG_1);
    put_u32(b, NFTA_META_KEY, key);
    end_expression(b);
}

static void load_payload(struct nf_batch *b, uint32_t base, uint32_t offset, uint32_t size)
{
    expression(b, "payload");
    put_u32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
    put_u32(b, NFTA_PAYLOAD_BASE, base);
    put_u32(b, NFTA_PAYLOAD_OFFSET, offset);
    put_u32(b, NFTA_PAYLOAD_LEN, size);
    end_expression(b);
}

static void match_number(struct nf_batch *b, uint32_t key, uint32_t number, bool equal)
{
    load_meta(b, key);
    nf_compare(b, equal ? NFT_CMP_EQ : NFT_CMP_NEQ, &number, sizeof number);
}

void nf_match_in(struct nf_batch *b, uint32_t device, bool equal)
{
    match_number(b, NFT_META_IIF, device, equal);
}

void nf_match_out(struct nf_batch *b, uint32_t device, bool equal)
{
    match_number(b, NFT_META_OIF, device, equal);
}

void nf_match_mark(struct nf_batch *b, uint32_t mark, bool equal)
{
    match_number(b, NFT_META_MARK, mark, equal);
}

void nf_match_to(struct nf_batch *b, uint8_t family, const uint8_t *to, unsigned bits)
{
    bool is_ip4 = family == AF_INET;
    uint8_t protocol = is_ip4 ? NFPROTO_IPV4 : NFPROTO_IPV6, mask[16] = {0};
    static const uint8_t nothing[16];
    uint32_t size = is_ip4 ? 4 : 16;
    load_meta(b, NFT_META_NFPROTO);
    nf_compare(b, NFT_CMP_EQ, &protocol, sizeof protocol);
    load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, is_ip4 ? 16 : 24, size);
    if (bits < size * 8) {
        memset(mask, 0xff, bits / 8);
        mask[bits / 8] = (uint8_t)(0xff00U >> bits % 8);
        expression(b, "bitwise");
        put_u32(b, NFTA_BITWISE_SREG, NFT_REG_1);
        put_u32(b, NFTA_BITWISE_DREG, NFT_REG_1);
        put_u32(b, NFTA_BITWISE_LEN, size);
        put_value(b, NFTA_BITWISE_MASK, mask, size);
        put_value(b, NFTA_BITWISE_XOR, nothing, size);
        end_expression(b);
    }
    nf_compare(b, NFT_CMP_EQ, to, size);
}

void nf_match_protocol(struct nf_batch *b, uint8_t protocol)
{
    load_meta(b, NFT_META_L4PROTO);
    nf_compare(b, NFT_CMP_EQ, &protocol, sizeof protocol);
}

static void match_port(struct nf_batch *b, uint32_t offset, uint16_t port)
{
    uint16_t ordered = htons(port);
    load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, offset, sizeof ordered);
    nf_compare(b, NFT_CMP_EQ, &ordered, sizeof ordered);
}

void nf_match_source_port(struct nf_batch *b, uint16_t port)
{
    match_port(b, 0, port);
}

void nf_match_port(struct nf_batch *b, uint16_t port)
{
    match_port(b, 2, port);
}

void nf_match_icmp_types(struct nf_batch *b, uint8_t first, uint8_t last)
{
    load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
    nf_compare(b, NFT_CMP_GTE, &first, 1);
    nf_compare(b, NFT_CMP_LTE, &last, 1);
}
