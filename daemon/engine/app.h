/* SPDX-License-Identifier: Apache-2.0 */
/* app.h - datagrams of the app's own that wait for the end of the turn. */
#ifndef ENGINE_APP_H
#define ENGINE_APP_H

#include "daemon/engine/core.h"

void app_send_held(struct udptun_engine *e);
void app_drop_held(struct udptun_engine *e);

#endif
