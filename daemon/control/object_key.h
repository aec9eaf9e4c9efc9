/* SPDX-License-Identifier: Apache-2.0 */
/* object_key.h - the key that an object's keyFile holds, read where waiting for a disk is allowed.
 */
#ifndef CONTROL_OBJECT_KEY_H
#define CONTROL_OBJECT_KEY_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include <udptun/error.h>

struct file_key {
    bool given;
    bool exposed; /* others than its owner may read the file */
    uint8_t bytes[32];
};

/* The object names a key file (and has no key beside it, which the engine refuses). */
bool object_has_key_file(const ProtobufCMessage *message);

/* Read it, if there is one: 0 or a code with the field. Blocks; any thread. */
int object_read_key(const ProtobufCMessage *message, const char *path, struct file_key *key,
                    struct udptun_error *err);

#endif
