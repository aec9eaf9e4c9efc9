/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clients.h - the connections of VPN clients: bytes in, whole JSON objects out, and lines back.
 *
 * A client's objects are handed out one at a time: the next one not before clients_answered() for
 * the one before. So answers come in the order of the questions, and a client that does not read
 * is not read from. While an answer is due a little is read ahead, so that we notice when the
 * client goes away. A line goes out in one write: existing clients take what one read brings for
 * one object.
 */
#ifndef PROXY_CLIENTS_H
#define PROXY_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/platform/accepting.h"
#include "daemon/platform/loop.h"
#include "daemon/platform/process/command_listener.h"
#include "proto/list.h"

/* Who is at the other end, as the kernel says. */
struct client_who {
    uint64_t id; /* of the connection; never used again */
    int64_t pid; /* 0: the system does not tell */
    uint32_t uid;
};

struct clients_ops {
    /* A whole object, `text` ends in NUL; to be answered by clients_answered() in the end. */
    void (*object)(void *arg, const struct client_who *who, const char *text, size_t size);
    /* What came is not to be read as JSON: the answer is the last thing that the client gets,
     * unless `goes_on`. */
    void (*garbage)(void *arg, const struct client_who *who, bool goes_on, const char *why);
    /* The connection is gone. */
    void (*gone)(void *arg, const struct client_who *who);
};

struct clients {
    struct loop *loop; /* NULL: closed */
    const struct clients_ops *ops;
    void *arg;
    struct command_listener listener;
    struct accepting accepting;
    struct timer reaper; /* frees the dead from the loop: no caller up the stack has one */
    struct list list;
    unsigned count;
    uint64_t last_id;
};

int clients_open(struct clients *c, struct loop *loop, const char *path, uint32_t owner,
                 const struct clients_ops *ops, void *arg, struct udptun_error *err);
void clients_close(struct clients *c);

/* Send a line, which ends in a newline. False: there is no such client any more. */
bool clients_send(struct clients *c, uint64_t id, const char *line, size_t size);
/* The object that was handed out last is answered. Hands out the next when the loop turns. */
void clients_answered(struct clients *c, uint64_t id);

#endif
