/* SPDX-License-Identifier: Apache-2.0 */
/* secrets.h - fields of an object that not everybody may read: keys, passwords in URLs. Any kind of
 * object. */
#ifndef CONTROL_SECRETS_H
#define CONTROL_SECRETS_H

#include <protobuf-c/protobuf-c.h>

#include <udptun/error.h>

/*
 * Put what `present` (NULL: nothing) has in the place of every redacted secret of `message`. A URL
 * that was edited beside its redacted user part keeps that part, for the same host and port alone.
 * 0, UDPTUN_E_INVALID where there is nothing to put or the host is another, UDPTUN_E_NOMEM.
 */
int object_fill_redacted(ProtobufCMessage *message, const ProtobufCMessage *present,
                         const char *path, struct udptun_error *err);

/* The reverse, in `message` and all messages in it: what is secret becomes {"redacted":true}, a URL
 * with a user part keeps the rest of itself beside that. 0 or UDPTUN_E_NOMEM, and then nothing of
 * it is to be shown. */
int object_redact(ProtobufCMessage *message);

#endif
