/* SPDX-License-Identifier: Apache-2.0 */
/*
 * room.c - streams at a server whose handshake is under way, and which of them gives way.
 *
 * There are two rooms: one for streams that have said nothing yet, one for those whose HELLO has
 * proved the key. When both together are full, a silent stream gives way, so a stranger who only
 * opens streams cannot keep out a client that is in the middle of its handshake. Which one is a
 * matter of chance: if the oldest gave way, a stranger that opens streams fast enough would end
 * every stream before its HELLO comes. A recorded HELLO proves the key, too; against those that
 * play such ones again, chance is all that helps.
 */
#include <stdlib.h>

#include "proto/udpt/internal.h"

enum { FIRST_CAPACITY = 16 };

uint32_t room_count(const struct udptun_machine *m)
{
    return m->silent.count + m->proved.count;
}

bool room_enter(struct waiting_room *room, struct udptun_conn *c)
{
    if (room->count == room->capacity) {
        uint32_t capacity = room->capacity ? 2 * room->capacity : FIRST_CAPACITY;
        struct udptun_conn **conns =
            (struct udptun_conn **)realloc(room->conns, capacity * sizeof *conns);
        if (!conns)
            return false;
        room->conns = conns;
        room->capacity = capacity;
    }
    c->in_room = room->count;
    room->conns[room->count++] = c;
    return true;
}

/* The last takes its place. */
void room_leave(struct waiting_room *room, struct udptun_conn *c)
{
    struct udptun_conn *last = room->conns[--room->count];
    room->conns[c->in_room] = last;
    last->in_room = c->in_room;
}

void room_prove(struct udptun_conn *c)
{
    struct udptun_machine *m = c->m;
    uint32_t in_silent = c->in_room;
    if (!room_enter(&m->proved, c)) {
        conn_kill(c, "out of memory");
        return;
    }
    uint32_t in_proved = c->in_room;
    c->in_room = in_silent;
    room_leave(&m->silent, c);
    c->in_room = in_proved;
    c->state = CONN_AWAIT_CONFIRM;
}

void room_fini(struct waiting_room *room)
{
    free(room->conns);
    *room = (struct waiting_room){0};
}

void room_evict(struct udptun_machine *m)
{
    const struct waiting_room *room = m->silent.count > 0 ? &m->silent : &m->proved;
    uint32_t random;
    machine_random(m, &random, sizeof random);
    conn_kill(room->conns[random % room->count], "too many handshakes are under way");
}
