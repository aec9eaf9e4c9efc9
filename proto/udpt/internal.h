/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h - the whole data model of the UDPT/1 machine, and which file does what to it. What the
 * files do for each other is in calls.h.
 *
 *     machine.c    new, free, tick, deadlines, the list of conns with output
 *     client.c     a local: which legs are wanted, a session made again
 *     dialling.c   when its legs are dialled, backoff
 *     server.c     a server: streams accepted, sessions created, joined, detached, expired
 *     conn.c       one byte stream: handshake, output buffer, reassembly of frames
 *     leg.c        a stream as part of a session: heartbeat, acknowledgement, round-trip time
 *     core/alarms.c  when each conn and session is due
 *     session.c    what both ends share: init and end, state, legs up and down
 *     route.c      which lane a datagram takes, and which leg where it keeps to one
 *     sparse.c     sparse flows: legs as tokens, copies, streams
 *     pace/        credit.c: whether one more bulk datagram may leave now; with path.c (what the
 *                  path is), phases.c (what to do with that) and pacer.c (a token bucket);
 *                  codel.c: which heads of a flow's queue are dropped
 *     age.c        how late a datagram is, by the sender's clock
 *     binding.c    flows: open, close, idle timeouts
 *     datagram.c   datagrams of a flow, out and in; which copy is the first
 *     caps.c       how many flows there may be, and who gives way
 *     queue.c      datagrams that wait: the rings in which flows take turns, deadline, caps
 *     closing.c    bindings that ended, until the far end has heard of it
 *     announce.c   the short ids that stand for (binding, peer), ours and the peer's
 *     control.c    control frames, in and out
 *     room.c       streams at a server whose handshake is under way, and which of them gives way
 *     codec/       frame.c, handshake.c: bytes only; id_set.c: a set of ids that were used up
 *
 * Ownership. machine ⊃ sessions ⊃ bindings ⊃ peers, announced ids, queued datagrams. Conns belong
 * to the machine; a leg slot points to the conn that carries it. A conn that has ended is moved
 * to `machine.dead` and freed, with ops.hangup, when the outermost call into the machine returns
 * (machine_enter / machine_leave), so nothing is freed under the feet of a caller up the stack.
 */
#ifndef PROTO_UDPT_INTERNAL_H
#define PROTO_UDPT_INTERNAL_H

#include "proto/budget.h"
#include "proto/list.h"
#include "proto/table.h"
#include "proto/udpt/codec/frame.h"
#include "proto/udpt/codec/handshake.h"
#include "proto/udpt/codec/id_set.h"
#include "proto/udpt/core/alarms.h"
#include "proto/udpt/core/units.h"
#include "proto/udpt/machine.h"
#include "proto/udpt/pace/codel.h"
#include "proto/udpt/pace/credit.h"

enum {
    CONTROL_LEG = 0,
    DNS_PORT = 53,
    PEER_TEXT_SIZE = 64,

    /* What a leg's output may hold before datagrams wait in their bindings' queues: as much as
     * one turn of a busy host brings, or, once the stream did not take all, little. */
    OUTPUT_TURN_SIZE = 256 * 1024,
    OUTPUT_BLOCKED_SIZE = 16 * 1024,
    /* Output beyond this (control frames to a peer that does not read) ends the conn. */
    OUTPUT_MAX_SIZE = 1024 * 1024,

    /* A peer is announced from its fourth datagram on. */
    ANNOUNCE_FROM = 4,
    /* Peers remembered for each binding; the least recently used is forgotten. */
    PEERS_MAX = 64,
    /* Deficit round robin: bytes that a binding may send each round. */
    QUEUE_QUANTUM = 1500,
    /* Bytes of one write of sparse datagrams: a segment of MTU 1500 less TLS and AEAD framing. */
    THIN_WRITE_SIZE = 1390,

    /* Flows that ended are remembered, beyond those that a session may have at once. */
    ENDED_SPARE = 1024,
    /* Ranges of ids that have ended. Of more gaps than that the lowest count as ended. */
    ENDED_RANGES = 256,
    /* Of the end of a binding that is not known: not remembered so far above all that are. */
    ENDED_AHEAD = 65536,

    MARKS = 64,
    PINGS = 16,
};

/* Announcements a second and in a burst: 10,000 new flows are all announced in ten seconds. */
#define ANNOUNCE_RATE 1000
/* The far end is told of an id that is not known here, at most this often. */
#define UNKNOWN_PAUSE_US MS_US
/* A pure acknowledgement goes out this long after what it acknowledges ... */
#define ACK_DELAY_US (10 * MS_US)
/* ... or when so much has come. */
#define ACK_SIZE (256 * 1024)
/* How long a box with Nagle's algorithm may hold back the end of what was written, beside a round
 * trip: Linux's delayed acknowledgement at most, and a little. */
#define DELAYED_ACK_US (42 * MS_US)
/* The sender's clock is told again when it has moved this much. */
#define CLOCK_STEP_US (4 * MS_US)
/* A leg that has data unacknowledged for longer than this, and heard nothing meanwhile, is given
 * up: a fresh connection recovers sooner than TCP's backed-off timers. */
#define STUCK_MIN_US (3 * S_US)
#define STUCK_RTTS   8
/* A session's queues together hold at most so many times the cap of one binding. */
#define SESSION_QUEUE_FACTOR 16

/* ---- conn: one byte stream ------------------------------------------------------------------ */

#define CONN_STATES(X)                                                                             \
    X(CONN_DIALLING)      /* local: the host is opening the stream; no bytes yet */                \
    X(CONN_AWAIT_WELCOME) /* local: HELLO is out */                                                \
    X(CONN_AWAIT_HELLO)   /* server: nothing may be sent */                                        \
    X(CONN_AWAIT_CONFIRM) /* server: WELCOME is out; no session knows the conn */                  \
    X(CONN_UP)            /* carries a leg: frames both ways */                                    \
    X(CONN_CLOSING)       /* its last words are going out; nothing is read any more */             \
    X(CONN_DEAD)          /* in machine.dead: no bytes in or out, hangup is due */

enum conn_state {
#define CONN_ENUM(symbol) symbol,
    CONN_STATES(CONN_ENUM)
#undef CONN_ENUM
};

/* Bytes to be written: [head, tail) of `data`. */
struct output {
    uint8_t *data;
    size_t capacity, head, tail;
};

/* "Up to `counted` had been written, the first of it at `time_us`, the last at `last_us`": the age
 * of what is unacknowledged, and the round trip of what is acknowledged. */
struct mark {
    uint64_t counted, time_us, last_us;
};

struct udptun_conn {
    struct udptun_machine *m;
    struct list in_machine; /* machine.conns, or machine.dead */
    struct list in_ready;   /* machine.ready */
    struct alarm alarm;
    struct udptun_session *session; /* NULL at a server before CONFIRM */
    enum conn_state state;
    unsigned leg; /* the slot; what the HELLO said */
    uint32_t generation;
    uint32_t in_room;         /* server, in handshake: its index in the waiting room */
    uint64_t settings_serial; /* local: of the settings in its HELLO */
    bool handed_out;          /* the host has it from udptun_machine_next_ready() and is not done */
    uint64_t since_us;        /* when it came to be */
    uint64_t handshake_until_us; /* hung up when not up by then */
    struct handshake *handshake; /* until up */
    struct output out;
    /* The start of a message or frame whose rest has not come. Two, in turn: what was completed
     * in one udptun_conn_input() must stay until that returns. */
    struct partial {
        uint8_t *data;
        size_t size, capacity;
    } partials[2];
    unsigned partial_index;
    struct share *share;         /* what it holds counts there: session.share, or machine.share */
    size_t held;                 /* capacity of output and partials, as far as counted */
    uint64_t tx_bytes, rx_bytes; /* of the stream */
    void *host;
    char peer[PEER_TEXT_SIZE];
    char reason[160]; /* why it ended */

    /* While up. `counted` are bytes of frames other than ACK: they alone are acknowledged. */
    uint64_t tx_counted, tx_acked;
    uint64_t rx_counted, rx_acked; /* rx_acked: what we last reported */
    uint64_t rx_counted_us;        /* when the first byte came that is not reported yet */
    bool ack_owed;
    uint64_t last_rx_us, last_tx_us, last_clock_us;
    uint64_t progress_us;                      /* when an acknowledgement last told something new */
    uint64_t probe_start, probe_end, probe_us; /* round-trip time is measured on these bytes, end 0:
                                                * on none */
    uint64_t ping_sent_us;                     /* of the heartbeat under way, 0: none */
    struct mark marks[MARKS];
    unsigned mark_first, mark_count;
    int64_t rtt_us;        /* smoothed as RFC 6298, -1: not measured */
    int64_t rtt_var_us;    /* likewise, 0 */
    int64_t peer_clock_ms; /* the last CLOCK heard, unfolded */
    bool has_peer_clock;
    uint64_t answered_here;   /* like tx_acked, but told on this very stream */
    bool ack_last;            /* the last write was an acknowledgement: none answers it */
    uint64_t bulk_until_us;   /* bulk flows use it */
    uint64_t up_us;           /* local: since when it carries its leg */
    bool joined;              /* local: the session was known when it came */
    bool heard;               /* a frame came on it */
    bool blameless;           /* an attempt that ended through no fault of the path */
    bool leaving;             /* no datagram goes on it any more */
    bool stream_ended;        /* it was not us who ended it */
    struct rx_id *last_rx_id; /* the one looked up last: a bulk flow finds it here */
};

/* ---- session -------------------------------------------------------------------------------- */

/* A numbered slot of a session. */
struct leg {
    struct udptun_conn *conn;    /* up, or NULL */
    struct udptun_conn *attempt; /* local: being dialled or in handshake, or NULL */
    uint32_t generation;         /* the highest that was up */
    unsigned failures;           /* local: attempts that failed in a row */
    uint64_t retry_us;           /* local: no attempt before */
    struct list waiting;         /* bindings with queued datagrams for this leg */
};

/* Ids that we announce: a slot each, the wire's id is first + 2 * index. */
#define TX_ID_STATES(X)                                                                            \
    X(TX_ID_FREE)       /* in the free list */                                                     \
    X(TX_ID_ANNOUNCING) /* ANNOUNCE is out or to be sent again; datagrams go inline */             \
    X(TX_ID_LIVE)       /* acknowledged: datagrams use it */                                       \
    X(TX_ID_RETIRING)   /* RETIRE is out or to be sent again; nothing uses it */                   \
    X(TX_ID_QUARANTINE) /* acknowledged as retired; late datagrams may still be on their way */

enum tx_id_state {
#define TX_ID_ENUM(symbol) symbol,
    TX_ID_STATES(TX_ID_ENUM)
#undef TX_ID_ENUM
};

struct tx_id {
    enum tx_id_state state;
    uint32_t next;     /* in the free list or the quarantine: index + 1, 0: the last */
    struct peer *peer; /* ANNOUNCING, LIVE */
    bool sequenced;    /* its datagrams carry a sequence number */
    uint64_t until_us; /* QUARANTINE */
};

struct tx_ids {
    struct tx_id *slots;
    uint32_t count, capacity;
    uint32_t free_first;                        /* index + 1 */
    uint32_t quarantine_first, quarantine_last; /* index + 1, oldest first */
    uint32_t pending;                           /* in ANNOUNCING or RETIRING */
};

/* An id that the peer announced. */
struct rx_id {
    struct table_node node; /* session.rx_ids, by id */
    struct list in_binding;
    struct udptun_binding *binding;
    uint64_t id;
    uint8_t flags;
    struct udptun_dest dest; /* the name, if any, stands behind this struct */
};

/* Someone to whom (or at a server, from whom) a binding sends. */
struct peer {
    struct table_node node; /* session.peers, by (binding, endpoint) */
    struct list in_binding; /* least recently used first */
    struct udptun_binding *binding;
    uint32_t tx_id;          /* index + 1 of our announcement, 0: none */
    uint32_t datagrams;      /* until announced */
    struct udptun_dest dest; /* the name, if any, stands behind this struct */
};

/* A datagram that waits, or that waits for its copies to be sent. */
struct queued {
    struct queued *next;
    struct udptun_binding *binding;
    struct list in_copies;         /* session.copies */
    struct list in_binding_copies; /* binding.copies, while in that */
    uint64_t legs;                 /* a bit for each leg that has it */
    unsigned copies_left;
    bool written;   /* once at least: what is written now is a copy */
    bool sequenced; /* then */
    uint32_t sequence;
    uint64_t since_us;
    size_t size;
    struct udptun_dest dest; /* its name stands behind the payload */
    uint8_t data[];
};

/* Which sequence numbers have come: `highest`, and a bit for each of those below it. */
#define RX_WINDOW_BITS 1024
struct rx_window {
    uint32_t highest;
    uint64_t bits[RX_WINDOW_BITS / 64];
};

struct udptun_binding {
    struct udptun_session *session;
    struct list in_session; /* session.bindings */
    struct list in_idle;    /* session.idle or session.lone, least recently used first */
    struct table_node node; /* session.by_id */
    uint64_t id, label;
    uint16_t source_port; /* of the source at the client; 0: not known */
    uint64_t created_us, used_us;
    bool confirmed;           /* local: the server said OPENED, the label need not go along */
    uint32_t told_generation; /* server: the control leg on which OPENED was said */
    bool awaits_port;         /* local: asked for its old port, datagrams wait for OPENED */
    uint64_t awaits_until_us; /* ... but not for ever */
    bool orphan;              /* server: of an earlier start of the client; its label finds it */
    struct table_node in_orphans; /* session.orphans, while it is one */
    bool dns_only;                /* only port 53 so far */
    struct rx_window *rx_window;  /* of sequence numbers, once one came */
    struct list peers;            /* struct peer */
    uint32_t peer_count;
    struct peer *last_peer;
    struct list rx_ids;       /* struct rx_id */
    struct udptun_conn *conn; /* the stream that its last datagram took */
    bool settled;             /* that is a leg of the bulk lane */
    uint64_t written_us;      /* when its last datagram was written */
    uint64_t hold_us;         /* the next waits until what was written by then is acknowledged: the
                               * flow has changed its leg, and order inside it is kept */
    bool bulk;                /* route_classify(): not sparse */
    uint32_t window_size;     /* bytes since */
    uint64_t window_us;       /* this time */
    uint32_t next_sequence;
    struct list in_waiting; /* one of the session's rings, a leg's `waiting`, session.waiting, or
                             * session.thin */
    struct queued *queue_first, *queue_last;
    struct list copies; /* its part of session.copies */
    uint32_t queue_size, deficit;
    bool in_turn; /* it has had its quantum of this turn */
    struct codel codel;
    struct udptun_endpoint external4, external6;
    uint64_t tx_packets, rx_packets, tx_bytes, rx_bytes;
    uint32_t dropped[UDPTUN_MACHINE_DROP_CAUSES];
    max_align_t host[];
};

/* A binding that ended, until the far end has said CLOSED. */
struct closing {
    struct list in_session; /* session.unsaid or session.said, oldest first */
    struct table_node node; /* session.closings, by id */
    uint64_t id, since_us;
    enum udptun_close_reason reason;
};

struct ping {
    uint64_t wire, token, sent_us; /* sent_us 0: free */
};

enum { AGE_STRETCHES = 3 };

struct age {
    bool known;
    uint64_t window_us;
    int64_t past_ms, present_ms; /* least of (our clock - the sender's) */
    /* The least lateness in each of the last stretches of time, oldest first; the newest began at
     * `stretch_us`. */
    int64_t stretch_ms[AGE_STRETCHES];
    unsigned stretches;
    uint64_t stretch_us;
    int64_t clock_ms; /* the sender's, as last heard, unfolded */
};

struct udptun_session {
    struct udptun_machine *m;
    struct list in_machine;
    struct table_node in_by_session; /* machine.by_session, at a server */
    struct list in_detached;         /* machine.detached */
    struct list in_by_flows;         /* machine.by_flows */
    uint8_t id[UDPTUN_MACHINE_SESSION_ID_SIZE];
    uint8_t secret[UDPT_SECRET_SIZE];
    bool established; /* local: the server has it (a leg is up or was) */
    bool proven;      /* local: the server has sent on it, so it did get a CONFIRM */
    bool ending;      /* a goodbye was said: nothing more is sent */
    /* The control leg cannot be connected, and control frames go on a data leg: a local finds that
     * out, a server hears it. */
    bool without_control;
    uint64_t epoch, incarnation, client_incarnation;
    enum udptun_machine_state state;
    uint64_t created_us;
    char peer[PEER_TEXT_SIZE];
    struct leg legs[UDPTUN_MACHINE_MAX_LEGS];
    unsigned wanted;          /* local: data legs wanted now */
    uint32_t next_generation; /* local */
    uint64_t settings_serial; /* of the settings in force; 0: a client that does not count them */
    struct list bindings;     /* in the order in which they came to be */
    struct list idle, lone;
    struct list waiting;                /* bindings with queued datagrams and no leg */
    struct list sparse_ring, bulk_ring; /* those that take turns */
    struct list in_flush;               /* machine.flush */
    struct alarm alarm, lanes_alarm;
    struct share share; /* of machine.budget: output and partials of its conns, queues, copies */
    uint64_t sweep_us;  /* stale heads are not looked for before */
    struct list thin;   /* bindings with queued datagrams of the thin lane */
    struct list copies; /* struct queued: sent once, to be sent again on other legs */
    bool spread;        /* the thin lane is in use */
    bool streaming;     /* ... but for more than its tokens carry */
    struct udptun_conn *streams[3];
    uint64_t last_flush_us;
    uint64_t rate_us, rate_size, rate_packets; /* since, sparse bytes and datagrams */
    uint64_t thin_rate;                        /* sparse bytes a second */
    uint32_t packet_rate;                      /* sparse datagrams a second */
    struct credit credit;
    struct age age;
    struct table by_id, peers, rx_ids;
    /* server: bindings that the restarted client has not asked for, by label */
    struct table orphans;
    uint32_t binding_count;
    unsigned flow_class; /* of in_by_flows */
    /* server: the bindings that ended. An id has one life: a datagram or a copy that comes late
     * does not bring one to life again. */
    struct id_set ended;
    struct list unsaid, said; /* struct closing: CLOSE is to be said, or out on the control leg */
    struct table closings;    /* both, by id */
    uint64_t highest_binding; /* server: of the ids that bindings have had */
    uint64_t next_binding;    /* local: ids are never used twice in a session */
    struct tx_ids tx_ids;
    uint32_t announce_tokens;
    uint64_t announce_us;
    uint64_t unknown_us;       /* when the far end was last told that an id is not known here */
    uint64_t queue_total;      /* bytes waiting in all bindings */
    uint64_t queue_since_us;   /* local: waiting without a pause since, 0: nothing waits */
    struct udpt_params params; /* those agreed on, in force */
    uint64_t founded_us;       /* local: when the session came to be at the server */
    unsigned needed_most;      /* local: data legs needed in this minute */
    uint64_t needed_us;
    uint64_t probe_us;    /* local: when the next attempt of an outage may begin */
    uint64_t detached_us; /* when the last leg went; 0: one is up */
    uint64_t outage_us;   /* local: when the present outage began, 0: none */
    struct ping pings[PINGS];
    uint64_t next_ping;
    bool acks_owed;              /* some conn has ack_owed */
    bool seen_up;                /* a leg was up before: the next is a reconnection */
    uint64_t tx_bytes, rx_bytes; /* of payload */
};

/* Conns whose handshake is under way, in no order. */
struct waiting_room {
    struct udptun_conn **conns;
    uint32_t count, capacity;
};

/* Sessions with 1, 2 to 3, 4 to 7, ... flows. */
enum { FLOW_CLASSES = 32 };

/* Limits of a machine that can be reached. */
enum cap {
    CAP_SESSIONS,      /* max_sessions */
    CAP_FLOWS,         /* max_flows */
    CAP_SESSION_FLOWS, /* max_flows_per_session */
    CAP_HANDSHAKES,    /* max_pending */
    CAP_COUNT
};

struct udptun_machine {
    struct udptun_machine_config config;
    const struct udptun_machine_ops *ops;
    void *arg;
    uint64_t now_us;
    struct alarms alarms; /* of conns and sessions */
    uint64_t bury_us;     /* there are dead to bury, UDPTUN_MACHINE_NEVER: there are none */
    unsigned depth;       /* calls on the stack; the dead are buried at 0 */
    bool stopping;
    struct budget own_budget, *budget; /* `budget` is the config's, or the own one */
    struct share share;                /* of what conns without a session hold */
    struct list conns, dead, ready;
    struct list sessions, dead_sessions;
    struct list flush;                  /* sessions whose thin lane may have something to write */
    struct table by_session;            /* server: sessions by their ids */
    struct list detached;               /* server: sessions without a leg, the longest first */
    struct list by_flows[FLOW_CLASSES]; /* sessions with flows, by the logarithm of how many */
    uint32_t session_count, binding_count;
    struct waiting_room silent, proved; /* server: conns in handshake, before and after HELLO */
    uint64_t epoch, next_incarnation;
    uint8_t hash_key[16]; /* SipHash of what strangers choose */
    uint64_t id_factor;   /* secret and odd: multiplying by it hashes an id */
    uint64_t reconnects, resumed;
    uint64_t refused;           /* local: attempts that failed beside legs that were up */
    uint64_t cap_us[CAP_COUNT]; /* when each was reached the last time; 0: never */
    struct udptun_machine_counters
        counters; /* of bindings that are gone, and what no binding had */
};

#include "proto/udpt/calls.h"

#endif
