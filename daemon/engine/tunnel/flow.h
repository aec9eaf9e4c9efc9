/* SPDX-License-Identifier: Apache-2.0 */
/* flow.h - how the engine's part behind a binding begins, at either end. */
#ifndef ENGINE_FLOW_H
#define ENGINE_FLOW_H

#include "daemon/platform/datagram.h"

struct tunnel;
struct udptun_binding;

/* First member of struct flow (a local's) and of struct egress (a server's); it owns the flow's
 * datagrams in the sender. */
struct flow_head {
    struct datagram_owner owner;
    struct tunnel *tunnel;
    struct udptun_binding *binding;
};

#endif
