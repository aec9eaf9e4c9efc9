/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_json.h - what is kept over a restart, as JSON: the objects by name, and what makes a change
 * of them. No file is touched here.
 *
 * A state is the content of state.json:
 *
 *     {"format":2,"generation":7,"udpTunnels":[{...}],"tun2socks":[{...}]}
 *
 * Format 1, that of the first versions, has no `format` and no `generation`. A record is a change:
 * objects to set and names to remove,
 *
 *     {"udpTunnels":[{...}],"tun2socks":[{...}],"removed":["name"],"all":true}
 *
 * where `all` means that nothing else is kept. Members that this version does not know are kept: of
 * the state as they are, of an object also when the object is set.
 */
#ifndef CONTROL_STATE_JSON_H
#define CONTROL_STATE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/control/messages.h"
#include "proto/error.h"

#define STATE_FORMAT 2

/* All zero: not made yet. */
struct state {
    json_t *rest;          /* the members of the file but the two below */
    json_t *tunnels;       /* by name */
    json_t *tun2socks;     /* by name */
    json_int_t generation; /* of the file; 0: of a file of format 1, or of none */
    json_int_t format;     /* of the file; 0: there is no file */
};

/* An empty state: 0 or UDPTUN_E_NOMEM. */
int state_init(struct state *s);
void state_fini(struct state *s);

/*
 * The state that `text` holds. UDPTUN_E_UNSUPPORTED: it is of a newer format, which is then in
 * `s->format`; UDPTUN_E_BAD_REQUEST: it is damaged; UDPTUN_E_NOMEM. After a failure the rest of `s`
 * is as before.
 */
int state_parse(struct state *s, const char *text, size_t size, struct udptun_error *err);

/* Carry out a record: 0, UDPTUN_E_BAD_REQUEST when it is none, or UDPTUN_E_NOMEM. */
int state_apply(struct state *s, json_t *record);

/* The text of state.json with that generation; free() it. NULL when memory is short. */
char *state_text(const struct state *s, json_int_t generation);

/* Called with each thing that a state has and this version cannot use. */
typedef void (*state_report)(void *arg, const char *what);

/*
 * The objects of the state as messages, by name. An object that cannot be used is left out of
 * `*out` and stays in the state; it is reported, as is every member that is not known. 0 or
 * UDPTUN_E_NOMEM.
 */
int state_objects(const struct state *s, config_msg **out, state_report report, void *arg);

/* A new, empty record; NULL when memory is short. */
json_t *record_new(void);

/* `message` is to be kept; `name` is not. 0 or UDPTUN_E_NOMEM. */
int record_set(json_t *record, const ProtobufCMessage *message);
int record_remove(json_t *record, const char *name);

/* Nothing is to be kept but what the record sets. 0 or UDPTUN_E_NOMEM. */
int record_set_all(json_t *record);
bool record_is_all(const json_t *record);

/* The record changes nothing. */
bool record_is_empty(const json_t *record);

#endif
