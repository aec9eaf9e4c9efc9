/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authority.h - whether a caller may make an object what it is to be.
 *
 * An object that uses the daemon's own rights (object_admin_field()) belongs to an admin: as it is
 * now, and as it would be. An operator may read such an object, ping it and close its sessions, but
 * not create, change, replace or remove it. `call` NULL: a signal came, and that may do everything.
 */
#ifndef CONTROL_AUTHORITY_H
#define CONTROL_AUTHORITY_H

#include "daemon/control/socket/dispatch.h"
#include "daemon/control/store/objects.h"

/* The caller may set every field of `message`: 0, or UDPTUN_E_PERMISSION with the field. A merge
 * adds fields to these: authority_check_edit() decides. This one needs no copy of the object. */
int authority_check_given(const struct call *call, const ProtobufCMessage *message,
                          const char *path, struct udptun_error *err);

/* The caller may turn `present` (NULL: nothing) into what the edit wants: 0, or
 * UDPTUN_E_PERMISSION with the field. */
int authority_check_edit(const struct call *call, const ProtobufCMessage *present,
                         const struct edit *edit, struct udptun_error *err);

#endif
