/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netlink.h - rtnetlink (RFC 3549, rtnetlink(7)) spoken directly: one request, its answer.
 *
 * The kernel answers before send() has long returned, so requests are made synchronously; the only
 * thing that comes by itself, news of the network, has a socket of its own (route_watch.h). A
 * failure is a negative errno; nl->why has what the kernel says about it, "" when it says nothing.
 */
#ifndef PROXY_LINUX_NETLINK_H
#define PROXY_LINUX_NETLINK_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/error.h"

#define NL_MESSAGE_SIZE 512 /* more than any request of ours */

struct nl {
    int fd;
    uint32_t sequence;
    char why[128];
};

/* A request under construction. */
struct nl_message {
    union {
        struct nlmsghdr header;
        char bytes[NL_MESSAGE_SIZE];
    };
};

int nl_open(struct nl *nl, struct udptun_error *err);
void nl_close(struct nl *nl);

/* Begin a message with a zeroed body (struct rtmsg and the like), which is returned. NLM_F_REQUEST
 * is added to `flags`. */
void *nl_begin(struct nl_message *m, uint16_t type, uint16_t flags, size_t body_size);
void nl_put(struct nl_message *m, uint16_t type, const void *data, size_t size);
void nl_put_u32(struct nl_message *m, uint16_t type, uint32_t value);
/* An attribute of attributes: those put until nl_nest_end() with what nl_nest() returned. */
struct rtattr *nl_nest(struct nl_message *m, uint16_t type);
void nl_nest_end(struct nl_message *m, struct rtattr *nest);

/* Called for each message of an answer. */
typedef void nl_each(void *arg, const struct nlmsghdr *message);

/* Send, and wait until it is acknowledged. `each` may be NULL; what a request without NLM_F_DUMP
 * returns besides the acknowledgement goes there, too. 0 or -errno; a dump that the kernel calls
 * inconsistent, because something changed meanwhile, is -EINTR. */
int nl_talk(struct nl *nl, struct nl_message *m, nl_each *each, void *arg);

/* The attributes of a message of `body_size` bytes before them, by type up to `last`; absent ones
 * are NULL. */
void nl_parse(const struct nlmsghdr *message, size_t body_size, const struct rtattr **attributes,
              uint16_t last);
/* 0 where the attribute is absent or too short. */
uint32_t nl_get_u32(const struct rtattr *attribute);

/* Read one answer of the kernel into `to`. Returns its size, or a negative errno: -ETIMEDOUT when
 * the socket's own timeout is over. */
ssize_t nl_receive(int fd, void *to, size_t size);

/* Fill `err` for what nl_talk() returned: EPERM is UDPTUN_E_PERMISSION, else `code`. */
int nl_error(const struct nl *nl, int rc, int code, struct udptun_error *err, const char *what);

#endif
