/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - what protobuf-c accepts in silence although it cannot keep it. */
#ifndef PROTO_CONTROL_WIRE_H
#define PROTO_CONTROL_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/error.h"

/*
 * protobuf-c cuts a string at its first NUL, and a number to the width of its field. A message
 * of that kind in which either would happen is UDPTUN_E_BAD_REQUEST or UDPTUN_E_INVALID, as it is
 * in JSON, with the field. What is no message at all is left to protobuf-c: 0.
 */
int wire_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size,
               struct udptun_error *err);

#endif
