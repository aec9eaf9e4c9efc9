/* SPDX-License-Identifier: Apache-2.0 */
/* netlink.c - see netlink.h. */
#include "controller/proxy/linux/netlink.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    ANSWER_SIZE = 32768, /* what the kernel fills at once in a dump (NLMSG_GOODSIZE and above) */
    PATIENCE_S = 5,      /* the kernel answers at once; this guards against waiting for ever */
};

int nl_open(struct nl *nl, struct udptun_error *err)
{
    static const int yes = 1;
    static const struct timeval patience = {.tv_sec = PATIENCE_S};
    *nl = (struct nl){.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
    if (nl->fd < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "netlink");
    setsockopt(nl->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    /* Text with errors, and dumps that are filtered by the kernel; older ones do without. */
    setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof yes);
    setsockopt(nl->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &yes, sizeof yes);
    return UDPTUN_OK;
}

void nl_close(struct nl *nl)
{
    if (nl->fd >= 0)
        close(nl->fd);
    nl->fd = -1;
}

void *nl_begin(struct nl_message *m, uint16_t type, uint16_t flags, size_t body_size)
{
    memset(m, 0, sizeof *m);
    m->header.nlmsg_type = type;
    m->header.nlmsg_flags = NLM_F_REQUEST | flags;
    m->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(body_size);
    return NLMSG_DATA(&m->header);
}

void nl_put(struct nl_message *m, uint16_t type, const void *data, size_t size)
{
    size_t at = NLMSG_ALIGN(m->header.nlmsg_len);
    assert(at + RTA_SPACE(size) <= sizeof m->bytes); /* all sizes are ours */
    struct rtattr *attribute = (struct rtattr *)(void *)(m->bytes + at);
    attribute->rta_type = type;
    attribute->rta_len = (uint16_t)RTA_LENGTH(size);
    if (size > 0)
        memcpy(RTA_DATA(attribute), data, size);
    m->header.nlmsg_len = (uint32_t)(at + RTA_LENGTH(size));
}

void nl_put_u32(struct nl_message *m, uint16_t type, uint32_t value)
{
    nl_put(m, type, &value, sizeof value);
}

struct rtattr *nl_nest(struct nl_message *m, uint16_t type)
{
    size_t at = NLMSG_ALIGN(m->header.nlmsg_len);
    nl_put(m, type, NULL, 0);
    return (struct rtattr *)(void *)(m->bytes + at);
}

void nl_nest_end(struct nl_message *m, struct rtattr *nest)
{
    nest->rta_len = (uint16_t)(m->bytes + m->header.nlmsg_len - (char *)nest);
}

static void parse_attributes(const struct rtattr *first, size_t size,
                             const struct rtattr **attributes, uint16_t last)
{
    memset(attributes, 0, ((size_t)last + 1) * sizeof *attributes);
    size_t left = size;
    for (const struct rtattr *a = first; left >= sizeof *a && RTA_OK(a, left);) {
        uint16_t type = (uint16_t)(a->rta_type & (unsigned)NLA_TYPE_MASK);
        if (type <= last)
            attributes[type] = a;
        size_t step = RTA_ALIGN(a->rta_len);
        left = step < left ? left - step : 0;
        a = (const struct rtattr *)(const void *)((const char *)a + step);
    }
}

void nl_parse(const struct nlmsghdr *message, size_t body_size, const struct rtattr **attributes,
              uint16_t last)
{
    const char *body = NLMSG_DATA(message);
    size_t size = message->nlmsg_len, head = NLMSG_SPACE(body_size);
    parse_attributes((const void *)(body + NLMSG_ALIGN(body_size)), size > head ? size - head : 0,
                     attributes, last);
}

uint32_t nl_get_u32(const struct rtattr *attribute)
{
    uint32_t value = 0;
    if (attribute && RTA_PAYLOAD(attribute) >= sizeof value)
        memcpy(&value, RTA_DATA(attribute), sizeof value);
    return value;
}

/* What NLMSG_ERROR, or the end of a dump, says: 0 or -errno. */
static int read_verdict(struct nl *nl, const struct nlmsghdr *message)
{
    int code;
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof code))
        return message->nlmsg_type == NLMSG_DONE ? 0 : -EPROTO;
    memcpy(&code, NLMSG_DATA(message), sizeof code);
    if (message->nlmsg_type != NLMSG_ERROR || !(message->nlmsg_flags & NLM_F_ACK_TLVS))
        return code;
    /* The request's header follows, the whole request unless NLM_F_CAPPED, then the text. */
    const struct nlmsgerr *verdict = NLMSG_DATA(message);
    size_t body = sizeof *verdict;
    if (!(message->nlmsg_flags & NLM_F_CAPPED))
        body += verdict->msg.nlmsg_len - sizeof verdict->msg;
    const struct rtattr *attributes[NLMSGERR_ATTR_MSG + 1];
    nl_parse(message, body, attributes, NLMSGERR_ATTR_MSG);
    const struct rtattr *text = attributes[NLMSGERR_ATTR_MSG];
    if (text)
        snprintf(nl->why, sizeof nl->why, "%.*s", (int)RTA_PAYLOAD(text),
                 (const char *)RTA_DATA(text));
    return code;
}

/* One message of an answer. True: it was the last, `*result` is that of the whole. */
static bool netlink_take(struct nl *nl, const struct nlmsghdr *message, nl_each *each, void *arg,
                         int *result)
{
    if (message->nlmsg_seq != nl->sequence)
        return false; /* of a request that was given up */
    if (message->nlmsg_flags & NLM_F_DUMP_INTR)
        *result = -EINTR;
    if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
        int verdict = read_verdict(nl, message);
        *result = verdict < 0 ? verdict : *result;
        return true;
    }
    if (each)
        each(arg, message);
    return false;
}

ssize_t nl_receive(int fd, void *to, size_t size)
{
    ssize_t got;
    do
        got = recv(fd, to, size, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    return got;
}

int nl_talk(struct nl *nl, struct nl_message *m, nl_each *each, void *arg)
{
    nl->why[0] = '\0';
    m->header.nlmsg_seq = ++nl->sequence;
    if ((m->header.nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
        m->header.nlmsg_flags |= NLM_F_ACK;
    if (send(nl->fd, m, m->header.nlmsg_len, 0) < 0)
        return -errno;
    int result = 0;
    for (;;) {
        union {
            struct nlmsghdr header;
            char bytes[ANSWER_SIZE];
        } answer;
        ssize_t size = nl_receive(nl->fd, &answer, sizeof answer);
        if (size < 0)
            return (int)size;
        size_t left = (size_t)size;
        for (struct nlmsghdr *h = &answer.header; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (netlink_take(nl, h, each, arg, &result))
                return result;
        }
    }
}

int nl_error(const struct nl *nl, int rc, int code, struct udptun_error *err, const char *what)
{
    if (rc == -EPERM || rc == -EACCES)
        code = UDPTUN_E_PERMISSION;
    return error_set_errno(err, code, -rc, NULL, "%s%s%s%s", what, nl->why[0] ? " (" : "", nl->why,
                           nl->why[0] ? ")" : "");
}
