/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn.c - the end of a turn of the loop.
 *
 * First what objects registered (struct turn_work), then what was touched is written: each room
 * above gives a function (udptun_engine.flushes, in the order of face/engine.c). They are called
 * until nothing is left, or so often that the loop has to get its chance again.
 */
#include "daemon/engine/core/core.h"
#include "daemon/engine/core/notices.h"
#include "daemon/engine/core/registry.h"
#include "daemon/platform/datagram.h"
#include "daemon/platform/memory.h"

/* Rounds of a turn until the loop gets its chance again. */
enum { MAX_ROUNDS = 16 };

enum {
    TRIM_AFTER_US = 1000000,
    GIVE_BACK_BYTES = 2 << 20, /* for less it is not worth the time */
};

void engine_refresh(struct udptun_engine *e)
{
    loop_refresh(&e->loop);
    loop_turn_soon(&e->loop); /* for what the call brings about */
}

static bool idle(const struct udptun_engine *e)
{
    return list_empty(&e->streams) && list_empty(&e->held) && list_empty(&e->dirty) &&
           list_empty(&e->dead) && list_empty(&e->notices);
}

void engine_settle(struct udptun_engine *e)
{
    if (e->in_app > 0 || e->delivering)
        return;
    registry_free_dead(e);
    notices_deliver(e);
    registry_free_dead(e);
}

void engine_turn_again(struct udptun_engine *e)
{
    if (!timer_is_on(&e->again))
        timer_start(&e->again, 0);
}

/* Flows that held much have ended or were read: the system gets the memory back. */
static void give_back(struct budget *b)
{
    if (b->peak < GIVE_BACK_BYTES || b->used > b->peak / 8)
        return;
    b->peak = b->used;
    memory_give_back();
}

void engine_turn(void *arg)
{
    struct udptun_engine *e = (struct udptun_engine *)arg;
    engine_thread_turn(e);
    LIST_FOREACH_SAFE (node, &e->turn_work) {
        struct turn_work *work = list_entry(node, struct turn_work, node);
        work->run(work);
    }
    for (int round = 0; round < MAX_ROUNDS && !idle(e); round++) {
        for (turn_flush *const *flush = e->flushes; *flush; flush++)
            (*flush)(e);
        engine_settle(e);
    }
    if (!idle(e))
        engine_turn_again(e);
    give_back(&e->buffers);
    cap_look_at_buffers(e);
    if (e->batch_used && !timer_is_on(&e->trim))
        timer_start(&e->trim, TRIM_AFTER_US);
}

/* Nothing to do but to have woken the loop. */
static void on_again(void *arg)
{
    (void)arg;
}

/* Called a second after datagrams came; when none did since, the burst is over. */
static void on_trim(void *arg)
{
    struct udptun_engine *e = (struct udptun_engine *)arg;
    if (!e->batch_used) {
        udp_batch_trim(e->batch);
        return;
    }
    e->batch_used = false;
    timer_start(&e->trim, TRIM_AFTER_US);
}

void turns_start(struct udptun_engine *e)
{
    timer_init(&e->again, &e->loop, on_again, e);
    timer_init(&e->trim, &e->loop, on_trim, e);
}

void turns_stop(struct udptun_engine *e)
{
    timer_stop(&e->again);
    timer_stop(&e->trim);
}
