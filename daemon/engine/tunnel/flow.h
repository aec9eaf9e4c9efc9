/* SPDX-License-Identifier: Apache-2.0 */
/* flow.h - how the engine's part behind a binding begins, at either end. */
#ifndef ENGINE_FLOW_H
#define ENGINE_FLOW_H

struct tunnel;
struct udpt_binding;

/* First member of struct flow (a local's) and of struct egress (a server's); also the tag of a
 * datagram in the sender. */
struct flow_head {
    struct tunnel *tunnel;
    struct udpt_binding *binding;
};

#endif
