/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core.h - what every file of the engine shares: the engine itself, its log, its random source.
 *
 * One engine is one event loop. All that is in it is touched on that loop's thread alone; the
 * only thing two threads share is the mailbox of engine_thread.c.
 */
#ifndef ENGINE_CORE_H
#define ENGINE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/engine.h>

#include "daemon/engine/core/cap.h"
#include "daemon/engine/core/own_sockets.h"
#include "daemon/engine/core/path_guard.h"
#include "daemon/platform/loop.h"
#include "proto/budget.h"
#include "proto/list.h"

struct hosts;
struct mailbox;
struct network_watch;
struct role_ops;
struct socket_rules;
struct thread;
struct udp_batch;
struct udp_sender;

enum { ENGINE_READ_SIZE = 256 * 1024, ENGINE_HASH_KEY_SIZE = 16 };

/* Writes what the turn touched, of one kind. */
typedef void turn_flush(struct udptun_engine *e);

struct udptun_engine {
    struct udptun_engine_config config;
    struct loop loop;              /* its now_us is the time of this turn or call */
    struct thread *thread;         /* NULL: the loop is the caller's */
    struct mailbox *mailbox;       /* calls of other threads; NULL: the loop is the caller's */
    struct hosts *hosts;           /* the hosts file, for every resolver */
    struct network_watch *network; /* NULL: the system brings no news of its network */
    struct timer again;            /* keeps the loop awake when a turn could not finish */
    struct list turn_work;         /* struct turn_work.node, before the engine's own */
    turn_flush *const *flushes;    /* at the end of the turn, in order; ends with NULL */
    const struct role_ops *const *roles; /* by enum udptun_role (tunnel/tunnel.h) */
    struct list entries;                 /* struct entry.node, by name */
    struct list dead;                    /* struct entry.node, removed and to be freed */
    struct list dirty;                   /* struct tunnel.dirty, with output or a new deadline */
    struct list streams;  /* struct udptun_stream.deferred, with something to be done */
    struct list notices;  /* struct notice.node, for callbacks of the app */
    unsigned in_app;      /* callbacks of the app that are on the stack inside a machine */
    unsigned in_write;    /* of these, callbacks.stream_write */
    struct list held;     /* struct held_datagram.node, sent at the end of the turn */
    uint64_t next_ping;   /* token of the latest ping */
    bool delivering;      /* notices_deliver() is on the stack */
    uint8_t *read_buffer; /* ENGINE_READ_SIZE, for whoever reads a stream right now */
    uint8_t hash_key[ENGINE_HASH_KEY_SIZE];
    struct udp_batch *batch;  /* receive buffers, for whoever reads datagrams right now */
    bool batch_used;          /* since `trim` last looked */
    struct timer trim;        /* gives back what bursts have touched of `batch` */
    struct budget buffers;    /* what all flows hold */
    uint64_t buffers_refused; /* its `refused`, when that was last looked at */
    struct cap_note buffers_cap;
    struct own_sockets own;    /* those that send to the network */
    struct path_guards paths;  /* streams that end when their address goes away */
    struct udp_sender *sender; /* gathered datagrams, flushed before their bytes go away */
};

/* ---- turn.c ------------------------------------------------------------------------------ */

/* What an object has to do at the end of each turn, before what was touched is written. */
struct turn_work {
    struct list node; /* udptun_engine.turn_work */
    void (*run)(struct turn_work *work);
};

/* Read the clock into loop.now_us, for a call that does not come from the loop. */
void engine_refresh(struct udptun_engine *e);

/*
 * End of an API function: run what it brought about (state callbacks, tunnels to free), unless
 * a callback of the app is on the stack; the end of the turn does it then.
 */
void engine_settle(struct udptun_engine *e);

/* Another turn follows this one at once: what is left is for its end. */
void engine_turn_again(struct udptun_engine *e);

/* A callback that may be called while a machine is on the stack is put between these two. */
static inline void engine_enter_app(struct udptun_engine *e)
{
    e->in_app++;
}

static inline void engine_leave_app(struct udptun_engine *e)
{
    e->in_app--;
}

/* The end of a turn; `arg` is the engine. */
void engine_turn(void *arg);

/* The timers of the turns, once the loop is open. */
void turns_start(struct udptun_engine *e);
void turns_stop(struct udptun_engine *e);

/* ---- core.c ---------------------------------------------------------------------------------- */

/* The engine's part of what its sockets to the network have to meet. */
void engine_fill_rules(struct udptun_engine *e, struct socket_rules *rules);

/* SipHash under the engine's own random key. */
uint64_t engine_hash(const struct udptun_engine *e, const void *data, size_t size);

/* ---- engine_thread.c ------------------------------------------------------------------------- */

/* Start the loop on a thread of its own. 0, UDPTUN_E_NOMEM, UDPTUN_E_SYSTEM. */
int engine_thread_start(struct udptun_engine *e, struct udptun_error *err);

/* End the thread's loop and join it. The loop is left for the caller to close. */
void engine_thread_stop(struct udptun_engine *e);

/* End of the turn: run what other threads have called. */
void engine_thread_turn(struct udptun_engine *e);

/* Run `run(arg)` on the engine's thread and wait for it; directly when this is it. */
void engine_call(struct udptun_engine *e, void (*run)(void *arg), void *arg);

/* ---- engine_log.c ---------------------------------------------------------------------------- */

void engine_log(const struct udptun_engine *e, enum udptun_log_level level, const char *module,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Lets a few lines of one cause through in a window and counts the rest. All zero: open. */
struct log_gate {
    uint64_t window_us; /* when the present window began */
    uint32_t lines;     /* let through in it */
    uint32_t withheld;  /* since a line was last let through */
};

/* As engine_log(), but at most a few lines in ten seconds; the next says how many were not. */
void engine_log_gated(const struct udptun_engine *e, struct log_gate *gate,
                      enum udptun_log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
