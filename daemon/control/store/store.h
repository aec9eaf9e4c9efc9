/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - the state directory: what was configured at run time, on disk.
 *
 * Theory of operation. `state.json` (state_json.h) is the state as of one moment. A change of a
 * small state writes the whole file again beside it and renames it into its place. A change of a
 * large one is a line of the journal (journal.h) of that file's generation, so that it costs what
 * the change is large, not what the state is large; when the journal has grown larger than the
 * file, the next change writes the whole again, as a new generation.
 *
 *     state.json        the state            state.json.new        being written
 *     state.json.old    the one before it    state.json.v1         the last one of format 1
 *     state.journal.N   changes since; generations take turns with two files, N is 0 or 1
 *
 * A change goes in two steps, so that a full disk is found before anything that runs is touched:
 * store_prepare() writes and syncs, store_commit() makes it valid by a rename or by one byte.
 * Whenever the process dies, the old state or the new one is there, whole. One prepared change at a
 * time.
 *
 * A state.json that is damaged or of a newer format never stops the start: the last good copy and
 * the journals that follow it are used, and the file is set aside under a name that is reported,
 * as soon as a good one can be written.
 *
 * The functions that block may run on the worker's thread, one at a time.
 */
#ifndef CONTROL_STORE_H
#define CONTROL_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/control/store/state_json.h"
#include "daemon/platform/files.h"

/* What is to be made valid. */
enum store_prepared {
    STORE_NOTHING,
    STORE_WHOLE,
    STORE_RECORD,
};

/* What is on the disk. */
struct store_files {
    json_int_t format;     /* of state.json; 0: there is none */
    json_int_t generation; /* of state.json */
    size_t base_size;      /* of state.json, bytes */
    size_t journal_size;   /* its valid part, bytes; 0: there is no journal of this generation */
    char damaged[32];      /* the file that the next whole write sets aside; "": none */
    char aside[64];        /* the name that it gets */
};

struct store {
    struct folder *folder; /* NULL: nothing is kept */
    char *path;
    struct file *journal; /* NULL: not open */
    struct store_files files;
    bool must_write_whole; /* the journal cannot be continued */
    enum store_prepared prepared;
    size_t line_at;       /* STORE_RECORD: where the line begins */
    size_t prepared_size; /* of the file afterwards */
    json_int_t prepared_generation;
};

/* Create the folder where it is absent and lock it. UDPTUN_E_CONFLICT (another udptund uses it),
 * UDPTUN_E_SYSTEM, UDPTUN_E_NOMEM. `path` NULL: nothing is kept. */
int store_open(struct store *s, const char *path, struct udptun_error *err);

void store_close(struct store *s);

/* What is kept; `*out` is NULL when nothing is kept at all. What cannot be read or used is
 * reported. UDPTUN_E_NOMEM. Blocks. */
int store_load(struct store *s, config_msg **out, state_report report, void *arg,
               struct udptun_error *err);

/* Write a record (state_json.h), which is not changed but for members that this version does not
 * know. UDPTUN_E_SYSTEM and others with `err`. UDPTUN_E_CONFLICT: another program has changed the
 * files since; a record of `all` objects can be written. Both block. */
int store_prepare(struct store *s, json_t *record, struct udptun_error *err);
int store_commit(struct store *s, struct udptun_error *err);

/* Drop what was prepared. Blocks. */
void store_discard(struct store *s);

#endif
