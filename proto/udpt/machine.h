/* SPDX-License-Identifier: Apache-2.0 */
/* machine.h - the face of proto/udpt is a public header; <udptun/machine.h>. */
#ifndef PROTO_UDPT_MACHINE_H
#define PROTO_UDPT_MACHINE_H

#include <udptun/machine.h>

#include "proto/endpoint.h"

#endif
