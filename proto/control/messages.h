/* SPDX-License-Identifier: Apache-2.0 */
/* messages.h - the generated structs of control.proto under names of a bearable length. */
#ifndef PROTO_CONTROL_MESSAGES_H
#define PROTO_CONTROL_MESSAGES_H

#include "proto/control/control.pb-c.h"

typedef Udptun__Control__Envelope envelope_msg;
typedef Udptun__Control__Id id_msg;
typedef Udptun__Control__Error error_msg;
typedef Udptun__Control__Parameters parameters_msg;
typedef Udptun__Control__ReturnValue return_msg;
typedef Udptun__Control__Secret secret_msg;
typedef Udptun__Control__StringList string_list_msg;
typedef Udptun__Control__Tunnel tunnel_msg;
typedef Udptun__Control__Tun2socks tun2socks_msg;
typedef Udptun__Control__Config config_msg;
typedef Udptun__Control__Connection connection_msg;
typedef Udptun__Control__Dropped dropped_msg;
typedef Udptun__Control__TunnelStatus tunnel_status_msg;
typedef Udptun__Control__Tun2socksStatus tun2socks_status_msg;
typedef Udptun__Control__Tun2socksDropped tun2socks_dropped_msg;
typedef Udptun__Control__Status status_msg;
typedef Udptun__Control__Session session_msg;
typedef Udptun__Control__Flow flow_msg;

#endif
