/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine_config.c - every field of a tunnel's configuration: wrong, out of range, unfit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <udptun/engine.h>

#define KEY_TEXT "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

typedef struct udptun_tunnel_config config;

static const uint8_t some_key[32] = {1, 2, 3};

static config good(enum udptun_role role)
{
    config c;
    udptun_tunnel_config_init(&c, role);
    c.name = "a.B-9_";
    c.listen = role == UDPTUN_LOCAL ? "udp://127.0.0.1:0" : "127.0.0.1:0";
    c.target = "192.0.2.1:53";
    c.server = role == UDPTUN_LOCAL ? "192.0.2.2:443" : NULL;
    return c;
}

static void expect(const config *c, int code, const char *field, const char *line)
{
    struct udptun_error err = {0};
    int got = udptun_tunnel_config_check(c, &err);
    if (got != code || strcmp(err.field, field) != 0)
        fail_msg("%s: %d '%s' (%s) instead of %d '%s'", line, got, err.field, err.message, code,
                 field);
    if (code != UDPTUN_OK && strncmp(err.message, field, strlen(field)) != 0)
        fail_msg("%s: '%s' does not name %s", line, err.message, field);
}

/* `change` on a good config of `role` is refused for `field`. */
#define REFUSED(role, change, code, field)                                                         \
    do {                                                                                           \
        config changed = good(role);                                                               \
        changed.change;                                                                            \
        expect(&changed, code, field, #change);                                                    \
    } while (0)
#define BAD_LOCAL(change, field)  REFUSED(UDPTUN_LOCAL, change, UDPTUN_E_INVALID, field)
#define BAD_SERVER(change, field) REFUSED(UDPTUN_SERVER, change, UDPTUN_E_INVALID, field)
#define ACCEPTED(role, change)    REFUSED(role, change, UDPTUN_OK, "")

static void defaults_are_accepted(void **state)
{
    (void)state;
    ACCEPTED(UDPTUN_LOCAL, listen = NULL);
    ACCEPTED(UDPTUN_LOCAL, listen = "socks5://u:p@127.0.0.1:0");
    ACCEPTED(UDPTUN_LOCAL, target = "dns.example:53");
    ACCEPTED(UDPTUN_LOCAL, server = "unix:/tmp/s");
    ACCEPTED(UDPTUN_LOCAL, via = "http://u:p@proxy.example:3128");
    ACCEPTED(UDPTUN_LOCAL, mark = 4294967295);
    ACCEPTED(UDPTUN_LOCAL, bind_device = "eth0");
    ACCEPTED(UDPTUN_LOCAL, enabled = false);
    ACCEPTED(UDPTUN_SERVER, listen = NULL);
    ACCEPTED(UDPTUN_SERVER, listen = "[::1]:0");
    ACCEPTED(UDPTUN_SERVER, listen = "unix:/tmp/s");
    ACCEPTED(UDPTUN_SERVER, target = NULL);
    ACCEPTED(UDPTUN_SERVER, egress = "direct");
    ACCEPTED(UDPTUN_SERVER, filtering = "endpoint-independent");
    ACCEPTED(UDPTUN_SERVER, port_range = "40000-40100");
    ACCEPTED(UDPTUN_SERVER, key = some_key);
}

static void names_and_roles(void **state)
{
    (void)state;
    static const char long_name[] =
        "12345678901234567890123456789012345678901234567890123456789012345";
    BAD_LOCAL(name = NULL, "name");
    BAD_LOCAL(name = "", "name");
    BAD_LOCAL(name = "a b", "name");
    BAD_LOCAL(name = "a/b", "name");
    BAD_LOCAL(name = long_name, "name");
    ACCEPTED(UDPTUN_LOCAL, name = long_name + 1);
    BAD_LOCAL(role = (enum udptun_role)7, "role");
    BAD_LOCAL(size = 8, "size");
    BAD_LOCAL(callbacks.size = 8, "size");
}

static void places(void **state)
{
    (void)state;
    BAD_LOCAL(listen = "udp://127.0.0.1", "listen");
    BAD_LOCAL(listen = "127.0.0.1:53", "listen");
    BAD_LOCAL(listen = "udp://127.0.0.1:70000", "listen");
    BAD_LOCAL(listen = "udp://name.example:53", "listen");
    BAD_LOCAL(listen = "http://127.0.0.1:80", "listen");
    BAD_LOCAL(listen = "", "listen");
    BAD_LOCAL(target = NULL, "target");
    BAD_LOCAL(target = "192.0.2.1", "target");
    BAD_LOCAL(target = "192.0.2.1:0", "target");
    BAD_LOCAL(server = NULL, "server");
    BAD_LOCAL(server = "192.0.2.2", "server");
    BAD_LOCAL(server = "192.0.2.2:0", "server");
    BAD_LOCAL(server = "unix:", "server");
    BAD_LOCAL(server = "app:", "server"); /* without the callbacks for it */
    BAD_LOCAL(via = "ftp://192.0.2.3:21", "via");
    BAD_LOCAL(via = "socks5://192.0.2.3:0", "via");
    BAD_LOCAL(tcp_proxy = "socks5://127.0.0.1:1080", "tcpProxy"); /* listen is udp:// */
    BAD_SERVER(listen = "udp://127.0.0.1:1", "listen");
    BAD_SERVER(listen = "127.0.0.1", "listen");
    BAD_SERVER(target = "x", "target");

    config c = good(UDPTUN_LOCAL);
    c.server = "unix:/tmp/s";
    c.via = "socks5://127.0.0.1:1080";
    expect(&c, UDPTUN_E_INVALID, "via", "via with a Unix socket");
    c = good(UDPTUN_LOCAL);
    c.listen = "socks5://127.0.0.1:0";
    c.tcp_proxy = "http://127.0.0.1:1080";
    expect(&c, UDPTUN_E_INVALID, "tcpProxy", "tcpProxy that is no SOCKS5");
}

static void messages_say_what_is_wrong_and_hide_passwords(void **state)
{
    (void)state;
    struct udptun_error err;
    config c = good(UDPTUN_LOCAL);
    c.listen = "udp://127.0.0.1";
    udptun_tunnel_config_check(&c, &err);
    assert_string_equal(err.message, "listen: port is missing in 'udp://127.0.0.1'");
    c.listen = "socks5://user:secret@127.0.0.1";
    udptun_tunnel_config_check(&c, &err);
    assert_null(strstr(err.message, "secret"));
}

static void numbers(void **state)
{
    (void)state;
    BAD_LOCAL(connections = 0, "connections");
    BAD_LOCAL(connections = 33, "connections");
    BAD_LOCAL(connections = -2, "connections");
    BAD_LOCAL(heartbeat_interval_s = 0, "heartbeatInterval");
    BAD_LOCAL(heartbeat_interval_s = 3601, "heartbeatInterval");
    BAD_LOCAL(heartbeat_interval_s = 30, "deadInterval"); /* not below its default */
    BAD_LOCAL(dead_interval_s = 10, "deadInterval");
    BAD_LOCAL(dead_interval_s = 86401, "deadInterval");
    BAD_SERVER(resume_timeout_s = -2, "resumeTimeout");
    BAD_SERVER(resume_timeout_s = 86401, "resumeTimeout");
    BAD_LOCAL(flow_timeout_s = 0, "flowTimeout");
    BAD_LOCAL(flow_timeout_s = 86401, "flowTimeout");
    BAD_SERVER(max_sessions = 0, "maxSessions");
    BAD_SERVER(max_sessions = 65537, "maxSessions");
    BAD_LOCAL(max_flows = 0, "maxFlows");
    BAD_LOCAL(max_flows = 1048577, "maxFlows");
    BAD_LOCAL(max_flows_per_session = 0, "maxFlowsPerSession");
    BAD_LOCAL(max_flows_per_session = 1048577, "maxFlowsPerSession");
    BAD_LOCAL(max_queue_delay_ms = 0, "maxQueueDelayMs");
    BAD_LOCAL(max_queue_delay_ms = 60001, "maxQueueDelayMs");
    BAD_LOCAL(max_queue_bytes = 65535, "maxQueueBytes");
    BAD_LOCAL(max_queue_bytes = (INT64_C(1) << 30) + 1, "maxQueueBytes");
    BAD_LOCAL(redundancy = 0, "redundancy");
    BAD_LOCAL(redundancy = 4, "redundancy");
    BAD_LOCAL(redundancy_max_size = 0, "redundancyMaxSize");
    BAD_LOCAL(redundancy_max_size = 65508, "redundancyMaxSize");
    BAD_LOCAL(min_version = 0, "minVersion");
    BAD_SERVER(min_version = 3, "minVersion");
    BAD_LOCAL(mark = -2, "mark");
    BAD_LOCAL(mark = INT64_C(4294967296), "mark");
    BAD_LOCAL(bind_device = "", "bindDevice");
    BAD_LOCAL(bind_device = "sixteen-letters.", "bindDevice");
}

static void fields_of_the_other_role(void **state)
{
    (void)state;
    static const char *const list[] = {"192.0.2.0/24"};
    BAD_LOCAL(insecure = true, "insecure");
    BAD_LOCAL(port_preservation = true, "portPreservation");
    BAD_LOCAL(egress = "direct", "egress");
    BAD_LOCAL(filtering = "endpoint-independent", "filtering");
    BAD_LOCAL(port_range = "2000-3000", "portRange");
    BAD_LOCAL(resume_timeout_s = 180, "resumeTimeout");
    BAD_LOCAL(allow_given = true, "allowTargets");
    config c = good(UDPTUN_LOCAL);
    c.deny_targets = list;
    c.deny_count = 1;
    expect(&c, UDPTUN_E_INVALID, "denyTargets", "denyTargets of a local");
    BAD_SERVER(server = "192.0.2.2:443", "server");
    BAD_SERVER(via = "socks5://127.0.0.1:1080", "via");
    BAD_SERVER(tcp_proxy = "socks5://127.0.0.1:1080", "tcpProxy");
    BAD_SERVER(connections = 8, "connections");
    BAD_SERVER(heartbeat_interval_s = 10, "heartbeatInterval");
    BAD_SERVER(dead_interval_s = 30, "deadInterval");
    BAD_SERVER(redundancy = 1, "redundancy");
    BAD_SERVER(redundancy_max_size = 400, "redundancyMaxSize");
}

static void what_comes_later_is_unsupported(void **state)
{
    (void)state;
    BAD_SERVER(egress = "tun2socks:", "egress");
    BAD_SERVER(egress = "elsewhere", "egress");
    BAD_SERVER(filtering = "none", "filtering");
}

static void servers(void **state)
{
    (void)state;
    static const char *const bad[] = {"192.0.2.0/24", "192.0.2.0/33"};
    BAD_SERVER(listen = "0.0.0.0:443", "key");
    BAD_SERVER(listen = "*:443", "key");
    BAD_SERVER(port_range = "3000", "portRange");
    BAD_SERVER(port_range = "1023-3000", "portRange");
    BAD_SERVER(port_range = "3000-2000", "portRange");
    BAD_SERVER(port_range = "3000-70000", "portRange");
    config c = good(UDPTUN_SERVER);
    c.listen = "0.0.0.0:443";
    c.insecure = true;
    expect(&c, UDPTUN_OK, "", "insecure");
    c.insecure = false;
    c.key = some_key;
    expect(&c, UDPTUN_OK, "", "with a key");
    c = good(UDPTUN_SERVER);
    c.allow_targets = bad;
    c.allow_count = 2;
    expect(&c, UDPTUN_E_INVALID, "allowTargets", "a bad rule");
    c.deny_targets = bad;
    c.deny_count = 2;
    c.allow_count = 1;
    expect(&c, UDPTUN_E_INVALID, "denyTargets", "a bad rule");
}

/* A key file with `text`, checked. */
static void key_file(const char *text, int code)
{
    char path[] = "/tmp/udptun-key-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    config c = good(UDPTUN_SERVER);
    c.key_file = path;
    expect(&c, code, code ? "keyFile" : "", text);
    struct udptun_error err = {0};
    udptun_tunnel_config_check(&c, &err);
    if (strlen(text) > 8)
        assert_null(strstr(err.message, text));
    unlink(path);
}

static void keys(void **state)
{
    (void)state;
    key_file(KEY_TEXT, UDPTUN_OK);
    key_file(KEY_TEXT "\n", UDPTUN_OK);
    key_file("  " KEY_TEXT "\r\n", UDPTUN_OK);
    key_file("", UDPTUN_E_INVALID);
    key_file("AAECAwQFBgc=", UDPTUN_E_INVALID);
    key_file("not base64 at all!", UDPTUN_E_INVALID);
    key_file(KEY_TEXT "AAAA", UDPTUN_E_INVALID);
    BAD_SERVER(key_file = "/nonexistent/key", "keyFile");
    BAD_SERVER(key_file = "/", "keyFile");
    config c = good(UDPTUN_SERVER);
    c.key = some_key;
    c.key_file = "/tmp/x";
    expect(&c, UDPTUN_E_INVALID, "keyFile", "key and keyFile");
}

/* ---- an app with an older header ------------------------------------------------------------- */

/* The app's struct ends at `size`; what lies behind it is something else of the app's. */
#define FOREIGN                       0x5a
#define OLD_SIZE(type, first_unknown) offsetof(type, first_unknown)

static void assert_foreign(const void *object, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        assert_int_equal(((const uint8_t *)object)[i], FOREIGN);
}

static void an_older_tunnel_config_keeps_the_defaults_of_what_it_lacks(void **state)
{
    (void)state;
    static const size_t sizes[] = {OLD_SIZE(config, target),
                                   OLD_SIZE(config, connections),
                                   OLD_SIZE(config, heartbeat_interval_s),
                                   OLD_SIZE(config, max_flows),
                                   OLD_SIZE(config, bind_device),
                                   OLD_SIZE(config, callbacks)};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        config c;
        memset(&c, FOREIGN, sizeof c);
        udptun_tunnel_config_init_sized(&c, UDPTUN_SERVER, sizes[i]);
        assert_foreign(&c, sizes[i], sizeof c);
        assert_int_equal(c.size, sizes[i]);
        c.name = "old";
        c.listen = "127.0.0.1:0";
        expect(&c, UDPTUN_OK, "", "an older config");
    }
    BAD_SERVER(size = OLD_SIZE(config, role), "size");
    BAD_SERVER(size = OLD_SIZE(config, max_flows) + 1, "size");
    BAD_SERVER(size = sizeof changed + sizeof(void *), "size");
}

static void an_older_engine_config_has_no_callbacks(void **state)
{
    (void)state;
    struct udptun_engine_config old;
    size_t size = OLD_SIZE(struct udptun_engine_config, log);
    memset(&old, FOREIGN, sizeof old);
    udptun_engine_config_init_sized(&old, size);
    assert_foreign(&old, size, sizeof old);
    udptun_engine *engine = udptun_engine_new(&old, NULL);
    assert_non_null(engine);
    config c = good(UDPTUN_SERVER); /* lines for the log */
    assert_int_equal(udptun_configure(engine, &c, NULL, NULL), UDPTUN_OK);
    udptun_engine_free(engine);
}

static void the_least_of_buffers_is_a_mebibyte(void **state)
{
    (void)state;
    struct udptun_engine_config c;
    struct udptun_error err = {0};
    udptun_engine_config_init(&c);
    assert_int_equal(c.max_buffer_bytes, UDPTUN_DEFAULT);
    c.max_buffer_bytes = (1 << 20) - 1;
    assert_null(udptun_engine_new(&c, &err));
    assert_int_equal(err.code, UDPTUN_E_INVALID);
    assert_string_equal(err.field, "maxBufferBytes");
    c.max_buffer_bytes++;
    udptun_engine *engine = udptun_engine_new(&c, &err);
    assert_non_null(engine);
    udptun_engine_free(engine);
}

static void an_older_instance_config_keeps_the_defaults_of_what_it_lacks(void **state)
{
    (void)state;
    typedef struct udptun_tun2socks_config instance;
    static const size_t sizes[] = {OLD_SIZE(instance, fd), OLD_SIZE(instance, address),
                                   OLD_SIZE(instance, mtu), OLD_SIZE(instance, icmp_echo)};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        instance c;
        memset(&c, FOREIGN, sizeof c);
        udptun_tun2socks_config_init_sized(&c, sizes[i]);
        assert_foreign(&c, sizes[i], sizeof c);
        c.name = "old";
        c.device = "unix:/tmp/x";
        int code = udptun_tun2socks_config_check(&c, NULL);
        if (code == UDPTUN_E_UNSUPPORTED)
            skip(); /* built without tun2socks */
        assert_int_equal(code, UDPTUN_OK);
    }
}

/* A header that is newer than the library: what the library does not know is left out. */
static void a_newer_config_is_taken_as_far_as_it_is_known(void **state)
{
    (void)state;
    struct {
        config known;
        uint64_t unknown[2];
    } newer;
    memset(&newer, FOREIGN, sizeof newer);
    udptun_tunnel_config_init_sized(&newer.known, UDPTUN_SERVER, sizeof newer);
    assert_int_equal(newer.unknown[1], 0);
    newer.known.name = "new";
    expect(&newer.known, UDPTUN_OK, "", "a newer config");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_accepted),
        cmocka_unit_test(names_and_roles),
        cmocka_unit_test(places),
        cmocka_unit_test(messages_say_what_is_wrong_and_hide_passwords),
        cmocka_unit_test(numbers),
        cmocka_unit_test(fields_of_the_other_role),
        cmocka_unit_test(what_comes_later_is_unsupported),
        cmocka_unit_test(servers),
        cmocka_unit_test(keys),
        cmocka_unit_test(an_older_tunnel_config_keeps_the_defaults_of_what_it_lacks),
        cmocka_unit_test(an_older_engine_config_has_no_callbacks),
        cmocka_unit_test(the_least_of_buffers_is_a_mebibyte),
        cmocka_unit_test(an_older_instance_config_keeps_the_defaults_of_what_it_lacks),
        cmocka_unit_test(a_newer_config_is_taken_as_far_as_it_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
