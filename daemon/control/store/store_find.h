/* SPDX-License-Identifier: Apache-2.0 */
/* store_find.h - the state that a folder holds, whatever became of its files; used by store.c. */
#ifndef CONTROL_STORE_FIND_H
#define CONTROL_STORE_FIND_H

#include "daemon/control/store/store.h"

#define STORE_FILE      "state.json"
#define STORE_NAME_SIZE 32

/* What was found on the way. */
struct finding {
    struct store_files files;
    char why[200];              /* why files.damaged cannot be used; "": all is as it should be */
    char used[STORE_NAME_SIZE]; /* what is used instead; "": nothing */
    bool newer;                 /* it is of a newer format, not damaged */
};

/* Read the state: state.json and its journal, or the last good copy and the journals that follow
 * it. 0, or UDPTUN_E_NOMEM; `state` is to be freed in any case. */
int store_find(struct store *s, struct state *state, struct finding *finding);

/* Write a good state and set the file aside that cannot be used; report both. What cannot be done
 * now is done with the next change. */
void store_replace_damaged(struct store *s, const struct finding *finding, state_report report,
                           void *arg);

/* The generation that follows. */
json_int_t store_next_generation(json_int_t generation);

/* "state.journal.1". Returns `name`. */
const char *store_journal_name(json_int_t generation, char name[STORE_NAME_SIZE]);

#endif
