/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel_settings.c - checks and parses what an app asks a tunnel to be.
 *
 * Every range is a row of a table; what one field demands of another comes after the fields. A
 * field is named as the command socket spells it.
 */
#include "daemon/engine/settings/tunnel_settings.h"

#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/settings/egress_place.h"
#include "daemon/engine/settings/policy.h"
#include "proto/error.h"
#include "proto/versioned.h"

enum { BOTH = 0, HANDSHAKE_MS = 10000, DNS_TIMEOUT_MS = 15000, LOWEST_EXTERNAL_PORT = 1024 };

struct number {
    size_t offset;
    const char *field;
    int64_t low, high, fallback;
    int role; /* enum udptun_role, or BOTH */
};

#define NUMBER(member, name, low, high, fallback, role)                                            \
    {                                                                                              \
        offsetof(struct udptun_tunnel_config, member), name, low, high, fallback, role             \
    }

/* `mark` is not here: its default is a value of its own. */
static const struct number numbers[] = {
    NUMBER(heartbeat_interval_s, "heartbeatInterval", 1, 3600, 10, UDPTUN_LOCAL),
    NUMBER(dead_interval_s, "deadInterval", 2, 86400, 30, UDPTUN_LOCAL),
    NUMBER(resume_timeout_s, "resumeTimeout", 0, 86400, 180, UDPTUN_SERVER),
    NUMBER(flow_timeout_s, "flowTimeout", 1, 86400, 300, BOTH),
    NUMBER(max_sessions, "maxSessions", 1, 65536, 1024, BOTH),
    NUMBER(max_flows, "maxFlows", 1, 1048576, 16384, BOTH),
    NUMBER(max_flows_per_session, "maxFlowsPerSession", 1, 1048576, 16384, BOTH),
    NUMBER(max_queue_delay_ms, "maxQueueDelayMs", 1, 60000, 500, BOTH),
    NUMBER(max_queue_bytes, "maxQueueBytes", 65536, 1 << 30, 1 << 20, BOTH),
    NUMBER(redundancy, "redundancy", 1, 3, 1, UDPTUN_LOCAL),
    NUMBER(redundancy_max_size, "redundancyMaxSize", 1, UDPTUN_MACHINE_MAX_PAYLOAD_IP4, 400,
           UDPTUN_LOCAL),
    NUMBER(min_version, "minVersion", 1, 2, 1, BOTH),
};

static const struct number connections = {0, "connections", 1, 32, 8, UDPTUN_LOCAL};

static const char *tunnel_settings_role_name(int role)
{
    return role == UDPTUN_LOCAL ? "local" : "server";
}

static int tunnel_settings_invalid(struct udptun_error *err, const char *field, const char *why)
{
    return error_set(err, UDPTUN_E_INVALID, field, "%s: %s", field, why);
}

/* With the text at fault, unless there may be a password in it: who forgot the host, or the '@'
 * before it, has one all the same. */
static int invalid_text(struct udptun_error *err, const char *field, const char *why,
                        const char *text)
{
    bool is_url = strcmp(field, "via") == 0 || strcmp(field, "tcpProxy") == 0 ||
                  (strcmp(field, "listen") == 0 && strstr(text, "://"));
    if (strchr(text, '@') || (is_url && strncmp(text, "udp://", 6) != 0))
        return tunnel_settings_invalid(err, field, why);
    return error_set(err, UDPTUN_E_INVALID, field, "%s: %s in '%s'", field, why, text);
}

static int not_of_role(struct udptun_error *err, const char *field, int role)
{
    return error_set(err, UDPTUN_E_INVALID, field, "%s: is not a field of a %s", field,
                     tunnel_settings_role_name(role));
}

/* ---- numbers -------------------------------------------------------------------------------- */

static int tunnel_settings_check_number(const struct number *number, int role, int64_t *value,
                                        struct udptun_error *err)
{
    bool given = *value != UDPTUN_DEFAULT;
    if (given && number->role != BOTH && number->role != role)
        return not_of_role(err, number->field, role);
    if (!given)
        *value = number->fallback;
    if (*value < number->low || *value > number->high)
        return error_set(err, UDPTUN_E_INVALID, number->field,
                         "%s: %lld is not between %lld and %lld", number->field, (long long)*value,
                         (long long)number->low, (long long)number->high);
    return UDPTUN_OK;
}

static int tunnel_settings_check_numbers(struct udptun_tunnel_config *given,
                                         struct udptun_error *err)
{
    int role = (int)given->role;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int64_t *value = (int64_t *)(void *)((char *)given + numbers[i].offset);
        int code = tunnel_settings_check_number(&numbers[i], role, value, err);
        if (code)
            return code;
    }
    int64_t count = given->connections;
    int code = tunnel_settings_check_number(&connections, role, &count, err);
    if (code)
        return code;
    given->connections = (int)count;
    if (given->dead_interval_s <= given->heartbeat_interval_s)
        return tunnel_settings_invalid(err, "deadInterval", "must be above heartbeatInterval");
    if (given->mark != UDPTUN_DEFAULT && (given->mark < 0 || given->mark > UINT32_MAX))
        return error_set(err, UDPTUN_E_INVALID, "mark",
                         "mark: %lld is not between 0 and 4294967295", (long long)given->mark);
    return UDPTUN_OK;
}

/* ---- names and places ----------------------------------------------------------------------- */

int settings_check_name(const char *name, struct udptun_error *err)
{
    if (!name || !*name)
        return tunnel_settings_invalid(err, "name", "is missing");
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    if (name[len] != '\0')
        return tunnel_settings_invalid(err, "name",
                                       "may hold only A-Z, a-z, 0-9, '.', '_' and '-'");
    if (len >= ENTRY_NAME_SIZE)
        return tunnel_settings_invalid(err, "name", "is longer than 64 characters");
    return UDPTUN_OK;
}

static bool has_host(const struct url *url)
{
    return url->kind != URL_NONE && url->kind != URL_UNIX && url->kind != URL_APP;
}

/* A place to connect to. NULL text: none. */
static int parse_remote(const char *field, const char *text, unsigned kinds, struct url *url,
                        struct udptun_error *err)
{
    if (!text)
        return UDPTUN_OK;
    const char *why = url_parse(text, kinds, url);
    if (!why && has_host(url) && url->host.port == 0)
        why = "port must not be 0";
    return why ? invalid_text(err, field, why, text) : UDPTUN_OK;
}

static int parse_listen(struct tunnel_settings *config, unsigned kinds, struct udptun_error *err)
{
    const char *text = config->given.listen;
    if (!text)
        return UDPTUN_OK;
    const char *why = url_parse(text, kinds | URL_WILDCARD, &config->listen);
    const struct host_port *host = &config->listen.host;
    if (!why && has_host(&config->listen) && host->ep.family == UDPTUN_ENDPOINT_NONE &&
        !endpoint_zone_name(host->host))
        why = "host must be an address";
    return why ? invalid_text(err, "listen", why, text) : UDPTUN_OK;
}

static int parse_target(struct tunnel_settings *config, struct udptun_error *err)
{
    const char *text = config->given.target;
    if (!text)
        return UDPTUN_OK;
    const char *why = host_port_parse(text, false, &config->target);
    if (!why && config->target.port == 0)
        why = "port must not be 0";
    if (why)
        return invalid_text(err, "target", why, text);
    config->has_target = true;
    return UDPTUN_OK;
}

static int parse_port_range(struct tunnel_settings *config, struct udptun_error *err)
{
    const char *text = config->given.port_range;
    if (!text)
        return UDPTUN_OK;
    char low[8] = "";
    const char *dash = strchr(text, '-');
    size_t low_len = dash ? (size_t)(dash - text) : sizeof low;
    if (low_len >= sizeof low)
        return invalid_text(err, "portRange", "must be LOW-HIGH", text);
    memcpy(low, text, low_len);
    if (!port_parse(low, &config->port_low) || !port_parse(dash + 1, &config->port_high))
        return invalid_text(err, "portRange", "must be LOW-HIGH", text);
    if (config->port_low < LOWEST_EXTERNAL_PORT)
        return invalid_text(err, "portRange", "no port below 1024 is allowed", text);
    if (config->port_high < config->port_low)
        return invalid_text(err, "portRange", "LOW is above HIGH", text);
    return UDPTUN_OK;
}

static int tunnel_settings_check_device(struct tunnel_settings *config, struct udptun_error *err)
{
    const char *device = config->given.bind_device;
    config->rules = socket_rules_none();
    config->rules.mark = config->given.mark == UDPTUN_DEFAULT ? SOCKET_NO_MARK : config->given.mark;
    if (!device)
        return UDPTUN_OK;
    size_t len = strlen(device);
    if (len == 0 || len >= sizeof config->rules.bind_device || strpbrk(device, "/ \t\n"))
        return tunnel_settings_invalid(err, "bindDevice", "is not the name of a network interface");
    memcpy(config->rules.bind_device, device, len + 1);
    return UDPTUN_OK;
}

int settings_try_mark(const struct socket_rules *rules, struct udptun_error *err)
{
    int failure = socket_try_mark(rules->mark);
    enum io what = io_of(failure);
    int code = what == IO_DENIED || what == IO_UNSUPPORTED ? io_code(what) : UDPTUN_E_SYSTEM;
    if (what == IO_DENIED)
        return error_set(err, code, "mark", "mark: setting it needs CAP_NET_ADMIN");
    return failure ? error_set_errno(err, code, failure, "mark", "mark") : UDPTUN_OK;
}

/* ---- the roles ------------------------------------------------------------------------------ */

static int check_local(struct tunnel_settings *config, struct udptun_error *err)
{
    struct udptun_tunnel_config *given = &config->given;
    if (given->insecure)
        return not_of_role(err, "insecure", UDPTUN_LOCAL);
    if (given->port_preservation)
        return not_of_role(err, "portPreservation", UDPTUN_LOCAL);
    if (given->egress)
        return not_of_role(err, "egress", UDPTUN_LOCAL);
    if (given->allow_count || given->allow_given)
        return not_of_role(err, "allowTargets", UDPTUN_LOCAL);
    if (given->deny_count)
        return not_of_role(err, "denyTargets", UDPTUN_LOCAL);
    if (given->filtering)
        return not_of_role(err, "filtering", UDPTUN_LOCAL);
    if (given->port_range)
        return not_of_role(err, "portRange", UDPTUN_LOCAL);

    int code = parse_listen(config, URL_UDP | URL_SOCKS5, err);
    if (!code && !given->server)
        code = tunnel_settings_invalid(err, "server", "is missing");
    if (!code)
        code = parse_remote("server", given->server, URL_HOST_PORT | URL_UNIX | URL_APP,
                            &config->server, err);
    if (!code)
        code = parse_remote("via", given->via, URL_SOCKS5 | URL_HTTP, &config->via, err);
    if (!code)
        code = parse_remote("tcpProxy", given->tcp_proxy, URL_SOCKS5, &config->tcp_proxy, err);
    if (code)
        return code;
    if (config->listen.kind == URL_UDP && !config->has_target)
        return tunnel_settings_invalid(err, "target", "is missing, and listen is udp://");
    if (given->tcp_proxy && config->listen.kind != URL_SOCKS5)
        return tunnel_settings_invalid(err, "tcpProxy", "needs a listen of socks5://");
    if (given->via && config->server.kind != URL_HOST_PORT)
        return tunnel_settings_invalid(err, "via", "needs a server of HOST:PORT");
    if (config->server.kind == URL_APP &&
        (!given->callbacks.stream_open || !given->callbacks.stream_write))
        return tunnel_settings_invalid(err, "server",
                                       "app: needs the callbacks of a program's own streams");
    return UDPTUN_OK;
}

static int check_egress(struct tunnel_settings *config, struct udptun_error *err)
{
    const struct udptun_tunnel_config *given = &config->given;
    const char *egress = given->egress;
    if (egress_is_packets(egress)) {
        const char *place = strchr(egress, ':') + 1;
        if (*egress == 't' ? settings_check_name(place, NULL) != UDPTUN_OK
                           : !*place || strlen(place) >= SOCKET_PATH_SIZE)
            return invalid_text(err, "egress", "must be direct or tun2socks:NAME", egress);
        if (!egress_packets_supported())
            return error_set(err, UDPTUN_E_UNSUPPORTED, "egress",
                             "egress: this library was built without tun2socks");
    } else if (egress && strcmp(egress, "direct") != 0)
        return invalid_text(err, "egress", "must be direct or tun2socks:NAME", egress);
    if (!filtering_parse(given->filtering, &config->filtering))
        return invalid_text(err, "filtering",
                            "must be endpoint-independent, address or address-port",
                            given->filtering);
    return UDPTUN_OK;
}

static int check_targets(const char *field, const char *const *targets, size_t count,
                         struct udptun_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct policy_rule rule;
        const char *why = targets[i] ? policy_parse_rule(targets[i], &rule) : "is empty";
        if (why)
            return invalid_text(err, field, why, targets[i] ? targets[i] : "");
    }
    return UDPTUN_OK;
}

static bool listens_beyond_host(const struct url *listen)
{
    return has_host(listen) && !endpoint_is_loopback(&listen->host.ep);
}

static int check_server(struct tunnel_settings *config, struct udptun_error *err)
{
    struct udptun_tunnel_config *given = &config->given;
    if (given->server)
        return not_of_role(err, "server", UDPTUN_SERVER);
    if (given->via)
        return not_of_role(err, "via", UDPTUN_SERVER);
    if (given->tcp_proxy)
        return not_of_role(err, "tcpProxy", UDPTUN_SERVER);
    int code = parse_listen(config, URL_HOST_PORT | URL_UNIX, err);
    if (!code)
        code = check_egress(config, err);
    if (!code)
        code = check_targets("allowTargets", given->allow_targets, given->allow_count, err);
    if (!code)
        code = check_targets("denyTargets", given->deny_targets, given->deny_count, err);
    if (!code)
        code = parse_port_range(config, err);
    if (!code && listens_beyond_host(&config->listen) && !config->has_key && !given->insecure)
        code = tunnel_settings_invalid(
            err, "key", "a server that listens beyond loopback needs one, unless \"insecure\"");
    return code;
}

static int check_key(struct tunnel_settings *config, const uint8_t *key, struct udptun_error *err)
{
    const char *path = config->given.key_file;
    if (key && path)
        return tunnel_settings_invalid(err, "keyFile", "excludes key");
    if (key)
        memcpy(config->key, key, UDPTUN_MACHINE_KEY_SIZE);
    else if (path) {
        int code = key_file_read(path, config->key, &config->key_exposed, err);
        if (code)
            return code;
    }
    config->has_key = key || path;
    return UDPTUN_OK;
}

/* The caller's bytes are read here and not kept. */
static int check_identity(struct tunnel_settings *config, struct udptun_error *err)
{
    struct udptun_tunnel_config *given = &config->given;
    const void *identity = given->identity;
    given->identity = NULL;
    if (!identity)
        return UDPTUN_OK;
    if (given->role != UDPTUN_LOCAL)
        return tunnel_settings_invalid(err, "identity", "is for the role local");
    config->has_identity = true;
    return identity_parse(identity, given->identity_size, &config->identity, err);
}

static int tunnel_settings_check(struct tunnel_settings *config, const uint8_t *key,
                                 struct udptun_error *err)
{
    struct udptun_tunnel_config *given = &config->given;
    if (given->role != UDPTUN_LOCAL && given->role != UDPTUN_SERVER)
        return tunnel_settings_invalid(err, "role", "must be local or server");
    int code = settings_check_name(given->name, err);
    if (!code)
        code = tunnel_settings_check_numbers(given, err);
    if (!code)
        code = tunnel_settings_check_device(config, err);
    if (!code)
        code = parse_target(config, err);
    if (!code)
        code = check_key(config, key, err);
    if (!code)
        code = check_identity(config, err);
    if (!code)
        code = given->role == UDPTUN_LOCAL ? check_local(config, err) : check_server(config, err);
    return code;
}

/* ---- life -------------------------------------------------------------------------------------
 */

struct tunnel_settings *tunnel_settings_new(const struct udptun_tunnel_config *given,
                                            struct udptun_error *err)
{
    struct udptun_tunnel_config whole;
    udptun_tunnel_config_init(&whole, UDPTUN_LOCAL);
    if (!given ||
        !versioned_read(&whole, sizeof whole, given,
                        VERSIONED_LEAST(struct udptun_tunnel_config, listen)) ||
        whole.callbacks.size != sizeof whole.callbacks) {
        error_set(err, UDPTUN_E_INVALID, "size", "size: is not that of a known version");
        return NULL;
    }
    struct tunnel_settings *config = (struct tunnel_settings *)calloc(1, sizeof *config);
    if (!config) {
        error_set(err, UDPTUN_E_NOMEM, NULL, "tunnel: out of memory");
        return NULL;
    }
    config->given = whole;
    if (!tunnel_settings_own(&config->given))
        error_set(err, UDPTUN_E_NOMEM, NULL, "tunnel: out of memory");
    else if (tunnel_settings_check(config, whole.key, err) == UDPTUN_OK)
        return config;
    tunnel_settings_free(config);
    return NULL;
}

/* ---- what the machine and the app see ---------------------------------------------------------
 */

void tunnel_settings_fill_udpt(const struct tunnel_settings *config,
                               struct udptun_machine_config *udpt)
{
    const struct udptun_tunnel_config *given = &config->given;
    udptun_machine_config_init(udpt, given->role == UDPTUN_LOCAL ? UDPTUN_MACHINE_LOCAL
                                                                 : UDPTUN_MACHINE_SERVER);
    udpt->has_key = config->has_key;
    memcpy(udpt->key, config->key, UDPTUN_MACHINE_KEY_SIZE);
    udpt->resume_ms = (uint32_t)given->resume_timeout_s * 1000;
    udpt->flow_timeout_ms = (uint32_t)given->flow_timeout_s * 1000;
    udpt->dns_timeout_ms =
        udpt->flow_timeout_ms < DNS_TIMEOUT_MS ? udpt->flow_timeout_ms : DNS_TIMEOUT_MS;
    udpt->handshake_ms = HANDSHAKE_MS;
    udpt->max_sessions = (uint32_t)given->max_sessions;
    udpt->max_flows = (uint32_t)given->max_flows;
    udpt->max_flows_per_session = (uint32_t)given->max_flows_per_session;
    udpt->max_queue_delay_ms = (uint32_t)given->max_queue_delay_ms;
    udpt->max_queue_bytes = (uint32_t)given->max_queue_bytes;
    udpt->min_version = (uint8_t)given->min_version;
    if (given->role != UDPTUN_LOCAL) /* it takes what its client tells it, else the defaults */
        return;
    udpt->connections = (unsigned)given->connections;
    udpt->heartbeat_ms = (uint32_t)given->heartbeat_interval_s * 1000;
    udpt->dead_ms = (uint32_t)given->dead_interval_s * 1000;
    udpt->redundancy = (unsigned)given->redundancy;
    udpt->redundancy_max_size = (uint32_t)given->redundancy_max_size;
}

void udptun_tunnel_config_init_sized(struct udptun_tunnel_config *config, enum udptun_role role,
                                     size_t size)
{
    struct udptun_tunnel_config defaults = {
        .size = sizeof defaults,
        .role = role,
        .connections = UDPTUN_DEFAULT,
        .mark = UDPTUN_DEFAULT,
        .enabled = true,
        .callbacks = {.size = sizeof defaults.callbacks},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *(int64_t *)(void *)((char *)&defaults + numbers[i].offset) = UDPTUN_DEFAULT;
    versioned_init(config, size, &defaults, sizeof defaults);
}

int udptun_tunnel_config_check(const struct udptun_tunnel_config *config, struct udptun_error *err)
{
    struct udptun_error local = {0};
    struct tunnel_settings *parsed = tunnel_settings_new(config, &local);
    bool ok = parsed != NULL;
    tunnel_settings_free(parsed);
    if (err)
        *err = local;
    return ok ? UDPTUN_OK : local.code;
}
