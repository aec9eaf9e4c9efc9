/* SPDX-License-Identifier: Apache-2.0 */
/* object_inputs.h - what an object needs beside its text: the key that its keyFile holds and the
 * session that it had, read where waiting for a disk is allowed, and the descriptor that its device
 * `fd:N` names. */
#ifndef CONTROL_OBJECT_INPUTS_H
#define CONTROL_OBJECT_INPUTS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include <udptun/engine.h>

#include "daemon/control/store/store.h"

/* All zero: nothing. */
struct object_inputs {
    bool has_key;
    bool exposed; /* others than its owner may read the key file */
    uint8_t key[32];
    bool has_fd;
    udptun_socket fd;     /* its own */
    size_t identity_size; /* 0: no session to go on with is known */
    uint8_t identity[UDPTUN_IDENTITY_SIZE];
};

/* Closes and wipes. */
void object_inputs_fini(struct object_inputs *m);

/* The object names a key file (and has no key beside it, which the engine refuses). */
bool object_has_key_file(const ProtobufCMessage *message);

/* Read it, if there is one: 0 or a code with the field. Blocks; any thread. */
int object_read_key(const ProtobufCMessage *message, const char *path, struct object_inputs *m,
                    struct udptun_error *err);

/* The key of the `present` object (NULL: none), if it comes from the file that `message` names. */
void object_keep_key(const ProtobufCMessage *message, const ProtobufCMessage *present,
                     const struct object_inputs *present_inputs, struct object_inputs *m);

/* Read the session that is kept for `name`, if there is one. Blocks; any thread. */
void object_inputs_read_identity(struct object_inputs *m, struct store *store, const char *name);

/* The object's device is `fd:N`. */
bool object_has_fd(const ProtobufCMessage *message);

/* Its device is a descriptor, and it is kept over a restart without one. */
bool object_waits_for_fd(const ProtobufCMessage *message);
/* At the start: such an object has no descriptor. Its device becomes "fd:none", and it is disabled.
 */
void object_lose_fd(ProtobufCMessage *message);

/* Take the descriptor that it names out of the `count` of `fds`, those of a message; what is taken
 * becomes -1 there. Without one, that of the `present` object (NULL: none) stays in use, if its
 * device reads the same. Where there is neither, nothing is taken, and the engine will say so. */
void object_take_fd(const ProtobufCMessage *message, udptun_socket *fds, size_t count,
                    const ProtobufCMessage *present, const struct object_inputs *present_inputs,
                    struct object_inputs *m);

#endif
