/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - the state directory: run-time objects on disk.
 *
 * A new state is written in two steps, so that a full disk is found before anything that runs is
 * touched: store_prepare() writes and syncs a file beside the old one, store_commit() renames it
 * into its place. Whenever the process dies, the old state or the new one is there, whole. One
 * prepared state at a time.
 */
#ifndef CONTROL_STORE_H
#define CONTROL_STORE_H

#include <stdbool.h>

#include "proto/control/messages.h"
#include "proto/error.h"

struct store {
    int dir; /* -1: nothing is kept */
    char *path;
    char *text; /* what is on disk; loop thread only */
};

/* Create the folder where it is absent and lock it. UDPTUN_E_CONFLICT (another udptund uses it),
 * UDPTUN_E_SYSTEM, UDPTUN_E_NOMEM. `path` NULL: nothing is kept. */
int store_open(struct store *s, const char *path, struct udptun_error *err);

void store_close(struct store *s);

/* What is kept; `*out` is NULL when that is nothing. UDPTUN_E_INVALID or UDPTUN_E_BAD_REQUEST
 * with the file's name in the message: not readable as a state. */
int store_load(struct store *s, config_msg **out, struct udptun_error *err);

/* `text` differs from what is on disk, and something is kept at all. */
bool store_needs(const struct store *s, const char *text);

/* These two block, and may be called on another thread. UDPTUN_E_SYSTEM. */
int store_prepare(const struct store *s, const char *text, struct udptun_error *err);
int store_commit(const struct store *s, struct udptun_error *err);

/* After a commit: `text`, which is taken over, is what is on disk. */
void store_committed(struct store *s, char *text);

/* Drop what was prepared. */
void store_discard(const struct store *s);

#endif
