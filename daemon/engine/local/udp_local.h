/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp_local.h - a udp-local: sources on this side, one binding for each.
 *
 *     front_udp.c     ┐
 *     front_socks5.c  ├─ front ─ flow (source → binding) ─ machine ─ carriers
 *     front_app.c            ┘
 *
 * A front is where datagrams come from and replies go to. The same source address at two fronts
 * is two flows.
 */
#ifndef ENGINE_UDP_LOCAL_H
#define ENGINE_UDP_LOCAL_H

#include "daemon/engine/streams/acceptor.h"
#include "daemon/engine/tunnel/flow.h"
#include "daemon/engine/tunnel/tunnel.h"
#include "proto/table.h"
#include "proto/udpt/machine.h"

struct flow;
struct front;

struct front_ops {
    /* A datagram of `peer` for the flow's source. `data` stays until the sender is flushed. */
    void (*deliver)(struct front *front, struct flow *flow, const struct udptun_dest *peer,
                    const uint8_t *data, size_t size);
    /* Datagrams of the flow do not reach `peer`; `value` is the MTU of UDPTUN_MACHINE_TOO_BIG.
     * NULL: not of interest. */
    void (*failed)(struct front *front, struct flow *flow, const struct udptun_dest *peer,
                   enum udptun_machine_error code, uint32_t value);
    /* The flow is gone when this returns. NULL: not of interest. */
    void (*closed)(struct front *front, struct flow *flow);
};

/* Either part of its tunnel and freed with it, or a guest: an entry of its own that joins the
 * tunnel and is told when the tunnel ends. */
struct front {
    const struct front_ops *ops;
    struct tunnel *tunnel; /* NULL: a guest that is in no tunnel at present */
    uint64_t id;           /* tells fronts of one tunnel apart */
    struct list flows;     /* struct flow.in_front */
    struct list node;      /* of a guest, in local.guests */
};

void front_init(struct front *front, const struct front_ops *ops, struct tunnel *t, uint64_t id);

/* Behind each binding, in the memory that the machine gives. */
struct flow {
    struct flow_head head;
    struct front *front;
    struct udptun_endpoint source;
    struct udptun_endpoint
        own;                /* where it sends to, port 0, when we listen on more than one address */
    struct table_node node; /* local.flows, keyed by source and front */
    struct list in_front;   /* front.flows, as long as it has a front */
};

/* Some datagrams of the largest size. */
enum { LOCAL_ARENA_SIZE = 256 * 1024 };

enum { FRONT_UDP = 0, FRONT_APP = 1, FRONT_FIRST_ASSOCIATION = 2 };

struct udp_local {
    struct table flows;
    uint8_t label_key[LABEL_KEY_SIZE];
    struct flow *last;         /* the flow found last: datagrams come in runs */
    struct udptun_dest target; /* of a udp:// listener */
    struct front udp;
    struct front app;
    uint64_t next_front; /* id of the next association */
    struct list guests;  /* struct front.node, of entries that live longer than this one */
    struct list clients; /* front_socks5.c: struct socks5_client.node */
    size_t client_count;
    uint8_t *arena;            /* LOCAL_ARENA_SIZE, replies with their SOCKS5 header */
    size_t arena_used;         /* goes back to 0 when the sender was flushed for room */
    struct io_watch readable;  /* the listener of udp:// ... */
    struct acceptor acceptor;  /* ... or of socks5:// */
    struct log_gate dial_gate; /* "cannot be reached" */
    struct log_gate listen_gate;
};

extern const struct role_ops udp_local_role;

/* Send a datagram of `source` at `front`: find or open its binding. The codes of
 * udptun_binding_send(). */
int udp_local_send(struct front *front, const struct udptun_endpoint *source,
                   const struct udptun_dest *dest, const uint8_t *data, size_t size);

/* Whether a datagram to `dest` may be marked dont_fragment: a network carries 1,280 bytes in one
 * piece or makes its own arrangements, so only a larger packet is. */
bool udp_local_may_be_whole(const struct udptun_dest *dest, size_t size);

/* The flow of `source`, if it has one, is answered from our address `own`: that to which its
 * latest datagram came. */
void udp_local_set_own(struct front *front, const struct udptun_endpoint *source,
                       const struct udptun_endpoint *own);

/* Is there a binding of `source` at `front`? */
bool udp_local_has_flow(struct front *front, const struct udptun_endpoint *source);

/* Close the flow of `source` at `front`, if there is one. Not from inside a callback. */
void udp_local_close_flow(struct front *front, const struct udptun_endpoint *source);

/* Close all flows of `front`. Not from inside a callback. */
void udp_local_close_flows(struct front *front);

/* Make `front` a guest of udp-local `t`, which runs. Until udp_local_leave(), or until `t` ends,
 * front->tunnel is `t`; it is NULL afterwards. */
void udp_local_join(struct tunnel *t, struct front *front);
/* Leave the tunnel, if `front` is in one. Its flows there have no front any more. */
void udp_local_leave(struct front *front);

/* ops.dial (udp_local_dial.c). */
void udp_local_dial(void *arg, struct udptun_conn *conn);

/* The machine gives up a conn whose stream is being dialled: what that waits for, as last_error has
 * it. False: it is not being dialled by us. */
bool udp_local_dial_overdue(struct udptun_conn *conn, char *text, size_t size);

/* ---- fronts
 * -------------------------------------------------------------------------------------- */

extern const struct front_ops front_udp_ops; /* front_udp.c */
extern const struct front_ops front_app_ops; /* front_app.c */

int front_udp_start(struct tunnel *t);
void front_socks5_init(struct tunnel *t);
/* End every association and relay. */
void front_socks5_drop_clients(struct tunnel *t);

#endif
