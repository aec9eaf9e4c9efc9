/* SPDX-License-Identifier: Apache-2.0 */
/* envelope.h - one message of the command socket: its bytes in either encoding <-> Envelope. */
#ifndef PROTO_CONTROL_ENVELOPE_H
#define PROTO_CONTROL_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/control/codec.h"
#include "proto/control/messages.h"
#include "proto/control/scan.h"

/* Bytes that belong to whoever holds the struct; free(data). */
struct envelope_bytes {
    uint8_t *data;
    size_t size;
};

/*
 * One message, as scan_feed() delimits it (a protobuf one with its length prefix). `flags` are
 * the codec's. Returns
 *   0                    `*out` is the message;
 *   UDPTUN_E_BAD_REQUEST not JSON, not UTF-8, a key twice, not an Envelope: `*out` is NULL;
 *   UDPTUN_E_INVALID     a field is wrong: `*out` has `action` and `id`, as far as those are
 *                        right, to answer with;
 *   UDPTUN_E_NOMEM       `*out` is NULL.
 * Free `*out` with envelope_free().
 */
int envelope_decode(enum encoding encoding, const uint8_t *data, size_t size, unsigned flags,
                    envelope_msg **out, struct udptun_error *err);

/* Text -> JSON with our rules: no key twice, UTF-8, numbers beyond 64 bits as reals so that the
 * codec can name the field. NULL and `err`: UDPTUN_E_BAD_REQUEST "line 3, column 7: ..." or
 * UDPTUN_E_NOMEM. */
json_t *envelope_parse_json(const char *text, size_t size, struct udptun_error *err);

/* A message with no more than `action` and `id` of `json`, as far as they are right: what an answer
 * needs of a message that is wrong elsewhere. NULL when memory is short. */
envelope_msg *envelope_salvage(const json_t *json);

/* The bytes of `message`, its newline or length prefix included. `encoding` UNKNOWN is JSON.
 * 0 or UDPTUN_E_NOMEM. */
int envelope_encode(enum encoding encoding, const envelope_msg *message,
                    struct envelope_bytes *out);

/* NULL is accepted. */
void envelope_free(envelope_msg *message);

#endif
