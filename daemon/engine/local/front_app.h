/* SPDX-License-Identifier: Apache-2.0 */
/* front_app.h - datagrams of the app's own that wait for the end of the turn. */
#ifndef ENGINE_FRONT_APP_H
#define ENGINE_FRONT_APP_H

#include "daemon/engine/core/core.h"

void front_app_send_held(struct udptun_engine *e);
void front_app_drop_held(struct udptun_engine *e);

#endif
