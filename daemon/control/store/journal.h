/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h - the format of the files beside state.json that changes of a large state go to.
 *
 *     udptund journal of generation 7
 *     + 5f0c...  {"removed":["a"]}
 *     - 91d2...  {"udpTunnels":[{...}]}
 *
 * Each line is a record (state_json.h) behind a mark and a checksum. It is written and synced with
 * the mark '-', which means nothing, and becomes valid when the mark is overwritten by '+': that
 * takes one byte that is there already, so a disk that is full cannot prevent it. What a process
 * that was killed left of a line is not whole, and means nothing either.
 */
#ifndef CONTROL_JOURNAL_H
#define CONTROL_JOURNAL_H

#include "daemon/control/store/state_json.h"

/* The first line; free() it. NULL when memory is short. */
char *journal_head(json_int_t generation);

/* The line of `record`, not valid yet; free() it. NULL when memory is short. */
char *journal_line(const json_t *record);

/* What makes a line valid: this byte in the place of its first. */
#define JOURNAL_VALID '+'

/*
 * Carry out the valid records of a journal of `s->generation`. `*end` is where the next line goes;
 * 0: the text is no journal of that generation. UDPTUN_E_BAD_REQUEST: a line before the last one is
 * damaged; those before it were carried out. UDPTUN_E_NOMEM.
 */
int journal_apply(struct state *s, const char *text, size_t size, size_t *end);

#endif
