/* SPDX-License-Identifier: Apache-2.0 */
/* egress_place.c - see egress_place.h. */
#include "daemon/engine/settings/egress_place.h"

#include <stddef.h>
#include <string.h>

#define INSTANCE_PREFIX "tun2socks:"

bool egress_is_packets(const char *egress)
{
    return egress_instance(egress) || (egress && strncmp(egress, "unix:", 5) == 0);
}

const char *egress_instance(const char *egress)
{
    size_t size = strlen(INSTANCE_PREFIX);
    return egress && strncmp(egress, INSTANCE_PREFIX, size) == 0 ? egress + size : NULL;
}

bool egress_packets_supported(void)
{
    return ENGINE_HAS_TUN2SOCKS;
}
