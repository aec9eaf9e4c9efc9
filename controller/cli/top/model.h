/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - all that "udptunctl top" shows, and what a key does to it. Like rows.h it knows no
 * terminal, no clock and no connection, so the tests drive it with text and numbers.
 *
 *   feed.c ─ what the daemon says ─▶ model ─▶ draw.c
 *   screen.c ─ keys ───────────────▶
 */
#ifndef CONTROLLER_CLI_TOP_MODEL_H
#define CONTROLLER_CLI_TOP_MODEL_H

#include "controller/cli/top/rows.h"

enum top_key {
    TOP_KEY_NONE,
    TOP_KEY_UP,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_ENTER,    /* into the selected tunnel */
    TOP_KEY_BACK,     /* out of it */
    TOP_KEY_FLOWS,    /* of the tunnel */
    TOP_KEY_SESSIONS, /* of the tunnel */
    TOP_KEY_OTHER,    /* from flows to sessions and back */
    TOP_KEY_SORT_NEXT,
    TOP_KEY_SORT_PREVIOUS,
    TOP_KEY_TURN, /* the order upside down */
    TOP_KEY_PAUSE,
    TOP_KEY_HELP,
    TOP_KEY_FILTER,  /* type what the rows shown contain */
    TOP_KEY_CLOSE,   /* the selected session, after a question */
    TOP_KEY_DISABLE, /* the selected object, or enable it, after a question */
    TOP_KEY_QUIT,
    TOP_KEY_UNKNOWN,
};

#define TOP_NOTE_SIZE 512

/* What the bottom line asks. */
enum top_prompt {
    TOP_PROMPT_NONE,
    TOP_PROMPT_FILTER,
    TOP_PROMPT_CONFIRM,
};

/* What the user wants the daemon to do. */
struct top_wish {
    const char *action; /* NULL: nothing */
    json_t *parameters;
    char done[TOP_NOTE_SIZE / 4]; /* said when it is done */
};

struct top_model {
    enum top_kind view;
    struct top_list lists[TOP_KINDS];
    json_t *status;              /* the last one shown, NULL: none yet */
    char *name;                  /* of the tunnel that is looked into, NULL: of none */
    bool is_listed;              /* it has flows and sessions: it is no tun2socks instance */
    bool more;                   /* there are more flows than those in the list */
    char refusal[TOP_NOTE_SIZE]; /* why there is no list of flows or sessions, or "" */
    bool connected;
    char socket[TOP_NOTE_SIZE]; /* where there is no daemon */
    char note[TOP_NOTE_SIZE];   /* of what happened last, or ""; until the next key */
    bool paused;
    bool helping;       /* the help is shown instead */
    int64_t help_first; /* the first of its lines on the screen */
    enum top_prompt prompt;
    char question[TOP_NOTE_SIZE / 2]; /* of TOP_PROMPT_CONFIRM */
    struct top_wish asked;            /* what the question is about */
    struct top_wish wish;             /* confirmed: feed.c takes it */
    bool quitting;
    size_t page; /* rows that a page key moves; set by who draws */
};

void model_init(struct top_model *model);
void model_fini(struct top_model *model);

/* ---- what the daemon says ----------------------------------------------------------------------
 */

/* There is a connection; or there is none at this socket. */
void model_connected(struct top_model *model);
void model_disconnected(struct top_model *model, const char *socket);

/* The value of getStatus, at `now_ms` of a clock that only goes forward. */
void model_status(struct top_model *model, json_t *status, int64_t now_ms);

/* The flows or sessions of the tunnel `name`, `more`: not all of them; or why there are none.
 * What is not looked at any more is ignored. */
void model_objects(struct top_model *model, enum top_kind kind, const char *name,
                   const json_t *objects, bool more, int64_t now_ms);
void model_refused(struct top_model *model, enum top_kind kind, const char *name, const char *why);

/* Something to be told, until the next key. */
void model_note(struct top_model *model, const char *text);

/* ---- what the user does ------------------------------------------------------------------------
 */

/* `character`: what the key types, 0 for none. */
void model_key(struct top_model *model, enum top_key key, int character);

/* Look into the tunnel of this name, known or not yet. */
void model_enter(struct top_model *model, const char *name);

/* ---- what is shown -----------------------------------------------------------------------------
 */

struct top_list *model_list(struct top_model *model);

/* The row of the tunnel that is looked into, NULL: of none, or it is not there (yet). */
const struct top_row *model_tunnel(const struct top_model *model);

/* The list of what is to be asked for, TOP_TUNNELS: none. */
enum top_kind model_wanted(const struct top_model *model);

/* Bytes a second of all tunnels; those of tun2socks go through a tunnel or nowhere. */
void model_totals(const struct top_model *model, double *tx_bytes_s, double *rx_bytes_s);

#endif
