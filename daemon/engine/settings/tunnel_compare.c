/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel_compare.c - what it takes to get from one configuration of a tunnel to another. */
#include "daemon/engine/settings/tunnel_settings.h"

#include <sodium.h>
#include <string.h>

static bool tunnel_compare_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_list(const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

/* Sockets, streams or the handshake depend on it. */
static bool needs_rebuild(const struct tunnel_settings *from, const struct tunnel_settings *to)
{
    const struct udptun_tunnel_config *a = &from->given;
    const struct udptun_tunnel_config *b = &to->given;
    return a->role != b->role || a->enabled != b->enabled ||
           !tunnel_compare_same_text(a->listen, b->listen) ||
           !tunnel_compare_same_text(a->egress, b->egress) ||
           !tunnel_compare_same_text(a->server, b->server) ||
           !tunnel_compare_same_text(a->via, b->via) ||
           !tunnel_compare_same_text(a->bind_device, b->bind_device) || a->mark != b->mark ||
           from->has_key != to->has_key ||
           sodium_memcmp(from->key, to->key, UDPTUN_MACHINE_KEY_SIZE) != 0;
}

static bool same_numbers(const struct udptun_tunnel_config *a, const struct udptun_tunnel_config *b)
{
    return a->connections == b->connections && a->heartbeat_interval_s == b->heartbeat_interval_s &&
           a->dead_interval_s == b->dead_interval_s && a->resume_timeout_s == b->resume_timeout_s &&
           a->flow_timeout_s == b->flow_timeout_s && a->max_sessions == b->max_sessions &&
           a->max_flows == b->max_flows && a->max_flows_per_session == b->max_flows_per_session &&
           a->max_queue_delay_ms == b->max_queue_delay_ms &&
           a->max_queue_bytes == b->max_queue_bytes && a->redundancy == b->redundancy &&
           a->redundancy_max_size == b->redundancy_max_size && a->keep_session == b->keep_session &&
           a->min_version == b->min_version;
}

enum entry_change tunnel_settings_compare(const struct tunnel_settings *from,
                                          const struct tunnel_settings *to)
{
    const struct udptun_tunnel_config *a = &from->given;
    const struct udptun_tunnel_config *b = &to->given;
    if (needs_rebuild(from, to))
        return ENTRY_REBUILD;
    bool same = same_numbers(a, b) && tunnel_compare_same_text(a->target, b->target) &&
                tunnel_compare_same_text(a->tcp_proxy, b->tcp_proxy) &&
                tunnel_compare_same_text(a->key_file, b->key_file) &&
                tunnel_compare_same_text(a->port_range, b->port_range) &&
                from->filtering == to->filtering && a->insecure == b->insecure &&
                a->port_preservation == b->port_preservation && a->allow_given == b->allow_given &&
                same_list(a->allow_targets, a->allow_count, b->allow_targets, b->allow_count) &&
                same_list(a->deny_targets, a->deny_count, b->deny_targets, b->deny_count);
    return same ? ENTRY_SAME : ENTRY_LIVE;
}
