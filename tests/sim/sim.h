/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.h - a world in which the session machine lives: its data model.
 *
 *     sources ─▶ local 0 ═ streams ═▶       ┌─▶ server 0 ─▶
 *     sources ─▶ local 1 ═ streams ═▶ proxy ┼─▶ server 1 ─▶ destinations (and their replies)
 *        …          …         …             └─▶    …
 *
 * Half of the worlds have one server. Where there are more, they know nothing of each other, and it
 * is not for a local to choose which one its streams reach: the proxy may take it to another.
 *
 * Everything happens in virtual time and follows from one seed. The parts:
 *   stream.c  byte streams with delay, bandwidth, loss, Nagle, limited buffers, ends, cuts
 *   node.c    the host of one machine: udptun_machine_ops, writing, starting and crashing
 *   memory.c  whether a machine keeps to its caps
 *   flows.c   whether the two ends agree on which flows there are
 *   rest.c    whether each local comes to rest at one server, and leaves none behind at another
 *   oracle.c  what was sent, and whether what arrives is that, once, at the right place
 *   fault.c   what goes wrong and when
 *   bulk.c    no fault, but a flow that offers more than the path carries
 *   split.c   no fault, but a balancer that deals streams out to two servers
 *   load.c    voice, bulk, a responsive flow, a rival on the line
 *   matrix.c  what that load gets on many paths, against limits
 *   sim.c     the loop, the traffic, the verdict
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/udpt/machine.h"
#include "tests/sim/rng.h"

#define SECOND_US    UINT64_C(1000000)
#define MAX_LOCALS   6
#define MAX_SERVERS  3
#define SOURCES      9  /* of each local */
#define SEED_SOURCES 6  /* those of them that send in a seed's history */
#define SHARED_DESTS 9  /* that every source uses: addresses of both families, and names */
#define DESTS        12 /* the rest are a source's own, so that they alone tell whose it is */
#define OWNERS       (MAX_LOCALS * SOURCES)
#define PORTS        4096
#define NUMBERED     20 /* a payload of that size carries a number, a smaller one does not */

struct world;
struct stream;

enum direction { UP, DOWN }; /* to the destinations, to the sources */

/* One end of the tunnel and its host. */
struct node {
    struct world *world;
    bool server;
    unsigned index; /* among those of its kind */
    char name[16];
    struct udptun_machine_config config;
    struct udptun_machine *machine; /* NULL while it is down */
    struct rng rng;                 /* what its machine gets as randomness */
    uint64_t up_again_us;           /* when it is down */
    unsigned incarnation;           /* how often it was started */
    unsigned conns, bindings;       /* alive, as the host sees it */
    enum udptun_machine_state state;
    struct udptun_binding *sources[SOURCES]; /* local */
    struct udptun_binding *ports[PORTS];     /* server: by external port - 10000 */
    unsigned next_port;
    uint64_t next_ping, pongs;
    uint64_t dials_us; /* local: the second in which it dialled `dials` times */
    unsigned dials;
    struct udptun_session_identity identity; /* local: what it finds when it starts again */
    bool has_identity;
    uint64_t line_free_us[2]; /* local: of the narrow line that its streams share */
    uint64_t established_us;  /* local: since when it has been, 0: it is not */
    /* local: the server that new streams reach; while it moves, some of them reach the next one. */
    struct node *reached, *next_reached;
    uint64_t moves_until_us;                 /* UDPTUN_MACHINE_NEVER: it does not */
    unsigned next_percent;                   /* of the streams that reach the next one */
    struct udptun_session_identity rests_in; /* local: the session that it has come to rest in */
};

/* The host's part of a binding. */
struct binding_host {
    unsigned source;    /* local */
    unsigned port;      /* server: index of node.ports */
    int owner;          /* server: local * SOURCES + source, once a datagram told it; -1 */
    uint32_t serial;    /* no two bindings of a world have the same */
    uint64_t astray_us; /* since when the other end has not had it, 0: it has */
};

/* Chunks of bytes on their way to one side. */
struct chunk {
    struct chunk *next;
    uint64_t due_us;
    size_t size;
    uint8_t bytes[];
};

/* One end of a stream, and what is on its way to it. */
struct side {
    struct node *node;
    struct udptun_conn *conn; /* NULL: not accepted yet, or hung up */
    struct stream *stream;
    struct chunk *head, **tail;
    size_t queued; /* held ones included */
    /* What a box with Nagle's algorithm holds back until its last small segment is acknowledged. */
    uint8_t *held;
    size_t held_size, held_capacity;
    uint64_t small_due_us, small_acked_us;
    uint64_t line_free_us, last_due_us;
    bool ended;
    uint64_t end_due_us;
    bool wants_write; /* output is left that did not fit */
};

struct stream {
    struct stream *next;
    unsigned number;
    struct side local, server;
    bool opened, accepted, refused;
    uint64_t opens_us, accepts_us;
    bool half_open; /* everything vanishes, nobody is told */
    uint64_t stalled_until_us;
    uint64_t delay_us;
    uint64_t bytes_per_s;
    size_t capacity, largest_chunk;
};

/* A numbered datagram. */
struct sent {
    uint64_t at_us;
    uint32_t size;
    uint16_t owner;
    uint8_t dest;
    uint8_t direction;
    uint32_t faults; /* how many had happened */
    bool calm;       /* long after the last of them */
    bool bulk;       /* its flow was bulk, so that order is promised */
    uint32_t serial; /* of the sender's binding: a new one may take another leg */
    bool delivered, probe;
    uint64_t delivered_us;
};

/* The least age at delivery in the last 30 to 60 s, of one local's datagrams in one direction. */
struct prompt {
    bool known;
    uint64_t window_us, past_us, present_us;
};

/* One owner's datagrams to or from one destination. */
struct flow {
    uint32_t tiny_sent[NUMBERED], tiny_delivered[NUMBERED];
    uint32_t newest; /* number + 1 of the newest delivered one */
};

struct reply {
    struct reply *next;
    uint64_t due_us;
    struct node *server;
    unsigned server_incarnation, port;
    int owner;
    uint8_t dest;
    bool probe;
};

struct world {
    uint64_t seed, now_us;
    struct rng rng;
    bool verbose;
    struct node servers[MAX_SERVERS], locals[MAX_LOCALS];
    unsigned server_count, local_count;
    struct stream *streams;
    unsigned next_stream;
    struct reply *replies;
    struct sent *sent;
    uint32_t sent_count, sent_room, next_serial;
    struct flow flows[2][OWNERS][DESTS];
    struct prompt up_prompt[MAX_SERVERS][MAX_LOCALS], down_prompt[MAX_LOCALS];
    /* the plan that the seed made */
    uint64_t delay_us, bytes_per_s, active_until_us, settle_us;
    bool nagle;            /* a box on the way holds small writes back, and acknowledges late */
    bool narrow;           /* the streams of a local share the bandwidth */
    uint64_t lost_once_in; /* segments, 0: none */
    bool fast_repair;      /* a loss costs a round trip, as where more follows, and no timeout */
    size_t capacity, largest_chunk, largest_payload;
    bool has_silent_dest; /* one destination never answers */
    unsigned silent_dest;
    /* Whether every stream reaches one of all the servers: in turn, or by chance. */
    enum { BALANCER_NONE, BALANCER_TURNS, BALANCER_CHANCE } balancer;
    bool proxied; /* connecting succeeds whatever the server does, as with ss-tunnel */
    uint64_t next_traffic_us, next_fault_us;
    /* what happened */
    uint32_t faults;
    const struct udptun_session *closes; /* the one that the server's administrator is ending */
    uint64_t last_fault_us;              /* the end of the last one */
    uint64_t last_silent_us;             /* the last one of which nobody was told */
    uint64_t delivered[2], calm_lost, steps, hash;
    uint64_t aged;       /* deliveries whose age could be judged */
    uint64_t slowest_us; /* to be established after the last fault */
    bool failed;
};

/* One line of the history, with -v. */
void say(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An invariant is broken: the line is printed whatever -v says, and the run fails. */
void broken(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- sim.c */
void plan_node(struct world *w, struct node *n, bool server, unsigned index);
/* Until `until_us`; false when an invariant broke or time stood still. */
bool run_until(struct world *w, uint64_t until_us);
/* All in it ends; whether it broke nothing, to the last. */
bool world_end(struct world *w);
void world_free(struct world *w);

/* ---- bulk.c */
unsigned bulk_paths(void);
bool run_bulk(unsigned number, bool verbose);

/* ---- split.c */
bool run_splits(void);

/* ---- stream.c */
struct stream *stream_dial(struct node *local, struct node *server, struct udptun_conn *conn);
void stream_hangup(struct world *w, struct side *side, bool abruptly);
void stream_cut(struct world *w, struct stream *s);
void stream_free_all(struct world *w);
/* Write what the machine has for this side, as far as there is room. */
void stream_write(struct world *w, struct side *side);
uint64_t streams_next_us(const struct world *w);
void streams_run(struct world *w);
/* The server that a local's conn leads to. */
struct node *stream_server(const struct udptun_conn *conn);

/* ---- node.c */
void node_plan_copies(struct node *local); /* by chance */
void node_start(struct node *n);
enum leaving { LEAVE_CRASH, LEAVE_END, LEAVE_KEEP }; /* the last two as udptun_machine_stop() */
void node_leave(struct node *n, enum leaving how, uint64_t down_us);
/* Ticks that are due, then all that waits to be written. */
void node_run(struct node *n);
void node_check(struct node *n);
/* Its legs and drops, for the history. */
void node_describe(const struct node *n);
void node_send(struct node *local, unsigned source, unsigned dest, size_t size, bool probe);
void replies_run(struct world *w);
uint64_t replies_next_us(const struct world *w);

/* The server's binding of this source of local 0, if there is one, sends to the source. */
void node_send_down(struct node *server, unsigned source, unsigned dest, size_t size);

/* ---- matrix.c */
/* `seeds` runs of each cell whose name has `part` in it (NULL: all): a table. False: a cell misses
 * a limit. */
bool run_matrix(unsigned seeds, const char *part);

/* ---- memory.c */
/* What the machine holds stays within its caps. */
void memory_check(struct node *n);

/* ---- flows.c */
/* The flows of a local and those of its session at the server are the same. */
void flows_check(struct node *local);

/* ---- rest.c */
/* A session of a server has ended: not before its time. */
void rest_session_ended(const struct node *server, const struct udptun_session *s);
/* A server hung up for this reason. */
void rest_hung_up(const struct node *server, const char *reason);
/* None of its sessions is there beyond its time. */
void rest_check_server(const struct node *server);
/* Each local is in a session at the server that it reaches; that is noted. */
void rest_begin(struct world *w);
/* It still is in that one, and long after the last fault no server has any other. */
void rest_end(struct world *w);

/* ---- oracle.c */
struct udptun_dest oracle_dest(unsigned owner, unsigned dest);
/* Where replies of that destination really come from: a name has an address. */
struct udptun_dest oracle_reply_from(unsigned owner, unsigned dest);
/* What is sent, and the payload to be filled. */
struct datagram {
    enum direction direction;
    unsigned owner, dest;
    uint32_t serial;
    bool probe;
    uint8_t *payload;
    size_t size;
};
/* Fill the payload and note the datagram as sent. */
void oracle_sent(struct world *w, const struct datagram *d);
/* Check one that arrived at this node; `*owner` -1: not known yet, and set. Returns its
 * destination's index or -1 when it broke an invariant; `*probe` tells whether it was one. */
int oracle_arrived(const struct node *at, int *owner, const struct udptun_dest *peer,
                   const uint8_t *payload, size_t size, bool *probe);
bool oracle_is_calm(const struct world *w);
/* After a datagram was handed to its machine. */
void oracle_classified(struct world *w, const struct udptun_binding *b, size_t size);
/* All legs of a session are gone: what the receiver knew of the sender's clock goes with them. */
void oracle_clocks_forgotten(struct world *w);
void oracle_verdict(struct world *w);

/* ---- fault.c */
void fault_run(struct world *w);
/* What all locals reach is another server, perhaps. */
void fault_move_all(struct world *w);
/* Ends the moves whose time has come. */
void moves_run(struct world *w);
uint64_t moves_next_us(const struct world *w);

#endif
