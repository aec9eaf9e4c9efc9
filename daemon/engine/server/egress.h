/* SPDX-License-Identifier: Apache-2.0 */
/* egress.h - the UDP sockets behind a binding at the server. */
#ifndef ENGINE_EGRESS_H
#define ENGINE_EGRESS_H

#include "daemon/engine/tunnel/flow.h"
#include "daemon/engine/tunnel/tunnel.h"
#include "proto/table.h"
#include "proto/udpt/machine.h"

struct egress_lookup;

/* One for each family; and one more for loopback, where the tunnel has a mark or a device: those
 * are for the network. `socket` is the watch's as well. */
struct egress_socket {
    struct egress *egress;
    struct egress_socket *next;
    struct io_watch watch;
    udptun_socket socket;
    uint16_t port;
    uint8_t family; /* enum udptun_endpoint_family; NONE: not open */
    bool is_loopback;
    bool is_external;          /* in udp_server.by_port */
    struct table_node by_port; /* hairpin.c */
};

/*
 * Behind each binding, in the memory that the machine gives. Most bindings need one socket only,
 * so the others are allocated when they are opened.
 */
struct egress {
    struct flow_head head;
    struct egress_socket first;
    struct egress_lookup *lookups; /* names that datagrams wait for */
    uint16_t want4;                /* external ports that the client asks to have again, 0: any */
    uint16_t want6;
    uint32_t packets_number;        /* egress_packets.c: which binding it is there, 0: none yet */
    struct table_node packets_node; /* in its table, while it has a number */
    struct filter *filter;          /* whom it has sent to, where that matters; else NULL */
    /* The last target that was found to be allowed, and to be no other flow: it is asked about
     * again at `passed_until_us`, or when the server's policy is another. */
    struct udptun_endpoint passed;
    uint64_t passed_until_us;
    uint32_t passed_serial; /* udp_server.policy_serial */
};

/* The machine's callbacks. */
void egress_datagram(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                     const uint8_t *data, size_t size);
int egress_opened(void *arg, struct udptun_binding *b, uint16_t want4, uint16_t want6);
void egress_closed(void *arg, struct udptun_binding *b, enum udptun_close_reason reason);

/*
 * Send to an address: `asked` is what the client named, for an error. Unless `exempt`, the policy
 * is asked. `data` stays until the sender is flushed.
 */
void egress_send(struct egress *egress, const struct udptun_endpoint *to,
                 const struct udptun_dest *asked, bool exempt, const uint8_t *data, size_t size);

/* The same with the addresses of a name: to the first that may be sent to. `count` is not 0. */
void egress_send_any(struct egress *egress, const struct udptun_endpoint *eps, size_t count,
                     const struct udptun_dest *asked, bool exempt, const uint8_t *data,
                     size_t size);

/* For a socket's watch: `arg` is the struct egress_socket. */
void egress_on_readable(void *arg, unsigned events);

/* ---- egress_socket.c ----------------------------------------------------------------------------
 */

/* The socket that sends to `to`, opened where need be; or NULL, and `*failure` has been logged. */
struct egress_socket *egress_socket_to(struct egress *egress, const struct udptun_endpoint *to,
                                       int *failure);
void egress_sockets_close(struct egress *egress);

/* ---- egress_port.c ------------------------------------------------------------------------------
 */

/* What a client would like its external port to be. */
struct port_wish {
    uint16_t port; /* 0: any */
    bool parity;   /* else one of the parity of `like` (RFC 4787 REQ-4) */
    uint16_t like;
};

/* A UDP socket that meets `rules`, of `family`, on a port of the tunnel's range, as near to the
 * wish as can be. 0 or the system's error number. */
int egress_bind(struct tunnel *t, const struct socket_rules *rules,
                enum udptun_endpoint_family family, const struct port_wish *wish,
                udptun_socket *made);

/* ---- egress_lookup.c ----------------------------------------------------------------------------
 */

/* Copy the datagram and send it when the address of `name` is known. `asked` as above. */
void egress_lookup_queue(struct egress *egress, const struct udptun_dest *name,
                         const struct udptun_dest *asked, bool exempt, const uint8_t *data,
                         size_t size);
/* Forget all that wait. */
void egress_lookup_drop(struct egress *egress);

#endif
