/* SPDX-License-Identifier: Apache-2.0 */
/* reload.h - the config file read again. */
#ifndef CONTROL_RELOAD_H
#define CONTROL_RELOAD_H

#include "daemon/control/store/state.h"

struct call;

/* Read the config file again and make what is its own be as it says. `call` (NULL: nobody asked)
 * is answered at the end. */
void control_reload(struct control *control, struct call *call);

#endif
