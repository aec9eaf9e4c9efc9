/* SPDX-License-Identifier: Apache-2.0 */
/* test_control_objects.c - the action table agrees with the schema; a tunnel object reaches the
 * engine's struct field by field; what goes into the state file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/actions/actions.h"
#include "daemon/control/store/config_file.h"
#include "daemon/control/store/object_fields.h"
#include "daemon/control/store/objects.h"
#include "daemon/control/store/secrets.h"
#include "daemon/control/store/tunnel_message.h"
#include "proto/control/codec.h"

static tunnel_msg *tunnel_of(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    ProtobufCMessage *message = NULL;
    struct udptun_error err = {0};
    assert_non_null(json);
    if (codec_from_json(&udptun__control__tunnel__descriptor, json, NULL, &message, &err) < 0)
        fail_msg("%s", err.message);
    json_decref(json);
    return (tunnel_msg *)message;
}

static void free_tunnel(tunnel_msg *tunnel)
{
    protobuf_c_message_free_unpacked(&tunnel->base, NULL);
}

/* ---- the action table ------------------------------------------------------------------------ */

static void every_action_of_the_schema_is_in_the_table(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *all = &udptun__control__parameters__descriptor;
    assert_int_equal(all->n_fields, control_action_count);
    for (unsigned i = 0; i < all->n_fields; i++) {
        char name[CODEC_NAME_SIZE];
        const struct action *action = action_find(codec_json_name(all->fields[i].name, name));
        if (!action)
            fail_msg("%s is in the schema alone", name);
        assert_ptr_equal(action->parameters, all->fields[i].descriptor);
        assert_true(action->role >= ROLE_OBSERVER && action->role <= ROLE_ADMIN);
        assert_true(action->help && action->help[0]);
        for (size_t k = 0; k < sizeof action->required / sizeof *action->required; k++) {
            if (action->required[k])
                assert_non_null(codec_field(action->parameters, action->required[k]));
        }
    }
}

static void every_return_value_is_that_of_an_action(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *all = &udptun__control__return_value__descriptor;
    for (unsigned i = 0; i < all->n_fields; i++) {
        char name[CODEC_NAME_SIZE];
        assert_non_null(action_find(codec_json_name(all->fields[i].name, name)));
    }
}

/* ---- tunnel objects -------------------------------------------------------------------------- */

static const char full_server[] =
    "{\"name\":\"s\",\"role\":\"server\",\"listen\":\"127.0.0.1:0\",\"target\":\"127.0.0.1:7\","
    "\"key\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\",\"insecure\":true,"
    "\"portPreservation\":true,"
    "\"egress\":\"direct\",\"allowTargets\":[\"10.0.0.0/8\",\"[::1]:5\"],\"denyTargets\":[],"
    "\"filtering\":\"endpoint-independent\",\"portRange\":\"2000-3000\",\"resumeTimeout\":0,"
    "\"flowTimeout\":11,\"maxSessions\":12,\"maxFlows\":13,\"maxFlowsPerSession\":14,"
    "\"maxQueueDelayMs\":15,\"maxQueueBytes\":70000,\"mark\":4294967295,\"bindDevice\":\"lo\","
    "\"ephemeral\":true,\"enabled\":false}";

static void a_server_arrives_field_by_field(void **state)
{
    (void)state;
    tunnel_msg *tunnel = tunnel_of(full_server);
    struct tunnel_message config;
    struct udptun_error err = {0};
    if (tunnel_message_read(tunnel, NULL, "parameters", &config, &err) < 0)
        fail_msg("%s", err.message);
    const struct udptun_tunnel_config *e = &config.engine;
    assert_string_equal(e->name, "s");
    assert_int_equal(e->role, UDPTUN_SERVER);
    assert_string_equal(e->listen, "127.0.0.1:0");
    assert_string_equal(e->target, "127.0.0.1:7");
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(e->key[i], i);
    assert_true(e->insecure && e->port_preservation && e->allow_given && !e->enabled);
    assert_string_equal(e->egress, "direct");
    assert_int_equal(e->allow_count, 2);
    assert_string_equal(e->allow_targets[1], "[::1]:5");
    assert_int_equal(e->deny_count, 0);
    assert_string_equal(e->filtering, "endpoint-independent");
    assert_string_equal(e->port_range, "2000-3000");
    assert_int_equal(e->resume_timeout_s, 0);
    assert_int_equal(e->flow_timeout_s, 11);
    assert_int_equal(e->max_sessions, 12);
    assert_int_equal(e->max_flows, 13);
    assert_int_equal(e->max_flows_per_session, 14);
    assert_int_equal(e->max_queue_delay_ms, 15);
    assert_int_equal(e->max_queue_bytes, 70000);
    assert_int_equal(e->mark, 4294967295);
    assert_string_equal(e->bind_device, "lo");
    free_tunnel(tunnel);
}

static void a_local_arrives_field_by_field(void **state)
{
    (void)state;
    tunnel_msg *tunnel = tunnel_of(
        "{\"name\":\"l\",\"role\":\"local\",\"listen\":\"socks5://u:p@127.0.0.1:0\","
        "\"server\":\"127.0.0.1:9\",\"via\":\"http://u:p@127.0.0.1:8\",\"keyFile\":\"/dev/null\","
        "\"tcpProxy\":\"socks5://127.0.0.1:7\",\"connections\":3,\"heartbeatInterval\":4,"
        "\"deadInterval\":9,\"redundancy\":1,\"redundancyMaxSize\":7,\"minVersion\":2}");
    struct tunnel_message config;
    tunnel_message_read(tunnel, NULL, "", &config,
                        NULL); /* what the engine says of it is its own test */
    const struct udptun_tunnel_config *e = &config.engine;
    assert_int_equal(e->role, UDPTUN_LOCAL);
    assert_string_equal(e->listen, "socks5://u:p@127.0.0.1:0");
    assert_string_equal(e->server, "127.0.0.1:9");
    assert_string_equal(e->via, "http://u:p@127.0.0.1:8");
    assert_string_equal(e->tcp_proxy, "socks5://127.0.0.1:7");
    assert_string_equal(e->key_file, "/dev/null");
    assert_int_equal(e->connections, 3);
    assert_int_equal(e->heartbeat_interval_s, 4);
    assert_int_equal(e->dead_interval_s, 9);
    assert_int_equal(e->redundancy, 1);
    assert_int_equal(e->redundancy_max_size, 7);
    assert_int_equal(e->min_version, 2);
    assert_true(e->enabled && !e->allow_given);
    assert_int_equal(e->max_flows, UDPTUN_DEFAULT);
    free_tunnel(tunnel);
}

/* With any field alone set, the struct differs from one where nothing is set, or the field is one
 * of those that the engine is not told. */
static void no_field_of_the_schema_is_forgotten(void **state)
{
    (void)state;
    static const char *const not_the_engines[] = {"ephemeral", "merge", "wait"};
    const ProtobufCMessageDescriptor *kind = &udptun__control__tunnel__descriptor;
    for (unsigned i = 0; i < kind->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &kind->fields[i];
        bool told = true;
        for (size_t k = 0; k < sizeof not_the_engines / sizeof *not_the_engines; k++)
            told = told && strcmp(field->name, not_the_engines[k]) != 0;
        tunnel_msg *tunnel = tunnel_of("{\"name\":\"t\",\"role\":\"server\"}");
        struct tunnel_message before, after;
        memset(&before, 0, sizeof before);
        memset(&after, 0, sizeof after);
        tunnel_message_read(tunnel, NULL, "", &before, NULL);
        char name[CODEC_NAME_SIZE], text[256];
        const char *value = "5";
        if (field->type == PROTOBUF_C_TYPE_BOOL)
            value = strcmp(field->name, "enabled") == 0 ? "false" : "true";
        else if (field->type == PROTOBUF_C_TYPE_STRING)
            value = "\"x\"";
        else if (field->descriptor == &udptun__control__secret__descriptor)
            value = "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"";
        else if (field->descriptor == &udptun__control__string_list__descriptor)
            value = "[\"x\"]";
        else if (strcmp(field->name, "role") == 0)
            value = "\"local\"";
        else if (field->type == PROTOBUF_C_TYPE_ENUM)
            value = "\"address\"";
        snprintf(text, sizeof text, "{\"%s\":%s}", codec_json_name(field->name, name), value);
        tunnel_msg *given = tunnel_of(text);
        tunnel_msg *whole = tunnel_of("{\"name\":\"t\",\"role\":\"server\"}");
        codec_merge(&whole->base, &given->base);
        tunnel_message_read(whole, NULL, "", &after, NULL);
        /* `name` is a pointer into the message and differs anyhow. */
        if (strcmp(field->name, "name") != 0)
            before.engine.name = after.engine.name = NULL;
        if (told == (memcmp(&before.engine, &after.engine, sizeof before.engine) == 0))
            fail_msg("%s is %s", field->name, told ? "not told to the engine" : "told");
        free_tunnel(given);
        free_tunnel(whole);
        free_tunnel(tunnel);
    }
}

static void fields_of_an_admin_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field;
    } cases[] = {
        {"{\"keyFile\":\"k\"}", "key_file"},
        {"{\"mark\":0}", "mark"},
        {"{\"bindDevice\":\"\"}", "bind_device"},
        {"{\"listen\":\"unix:/x\"}", "listen"},
        {"{\"server\":\"unix:/x\"}", "server"},
        {"{\"server\":\"UNIX:/x\"}", "server"}, /* the engine takes it for the same */
        {"{\"egress\":\"unix:/x\"}", "egress"},
        {"{\"name\":\"mark\",\"key\":\"k\",\"listen\":\"udp://h:1\"}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tunnel_msg *tunnel = tunnel_of(cases[i].text);
        const ProtobufCFieldDescriptor *field = object_admin_field(&tunnel->base);
        assert_int_equal(field != NULL, cases[i].field != NULL);
        if (field)
            assert_string_equal(field->name, cases[i].field);
        free_tunnel(tunnel);
    }
    assert_null(object_admin_field(NULL));
}

static void devices_of_an_admin_are_told_from_an_operators(void **state)
{
    (void)state;
    static const struct {
        char device[16];
        bool admin;
    } cases[] = {{"tun:tun0", true}, {"unix:/x", true}, {"x", true},
                 {"", true},         {"fd:0", false},   {"pipe", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char device[16];
        memcpy(device, cases[i].device, sizeof device);
        tun2socks_msg instance = UDPTUN__CONTROL__TUN2SOCKS__INIT;
        instance.device = device;
        if ((object_admin_field(&instance.base) != NULL) != cases[i].admin)
            fail_msg("device '%s'", device);
    }
}

/* Both ways: a field without a row would need an admin, a row without a field means nothing. */
static void every_field_of_an_object_has_a_row(void **state)
{
    (void)state;
    static const ProtobufCMessageDescriptor *const kinds[] = {
        &udptun__control__tunnel__descriptor, &udptun__control__tun2socks__descriptor};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (unsigned i = 0; i < kinds[k]->n_fields; i++) {
            if (!object_field_row(kinds[k], kinds[k]->fields[i].name))
                fail_msg("%s.%s has no row", kinds[k]->name, kinds[k]->fields[i].name);
        }
        assert_null(object_field_row(kinds[k], "no_such_field"));
    }
}

static void a_redacted_secret_is_filled_in_or_refused(void **state)
{
    (void)state;
    tunnel_msg *given = tunnel_of("{\"via\":{\"redacted\":true,\"url\":\"socks5://h:1\"}}");
    tunnel_msg *present = tunnel_of("{\"via\":\"socks5://u:p@h:1\"}");
    tunnel_msg *other = tunnel_of("{\"key\":\"k\"}");
    struct udptun_error err = {0};
    assert_int_equal(object_fill_redacted(&given->base, NULL, "x", &err), UDPTUN_E_INVALID);
    assert_string_equal(err.field, "x.via");
    assert_int_equal(object_fill_redacted(&given->base, &other->base, "x", &err), UDPTUN_E_INVALID);
    assert_int_equal(object_fill_redacted(&given->base, &present->base, "x", &err), 0);
    assert_true(codec_equal(&given->base, &present->base));
    free_tunnel(given);
    free_tunnel(present);
    free_tunnel(other);
}

static void an_edited_url_keeps_its_password_for_the_same_host_alone(void **state)
{
    (void)state;
    static const struct {
        const char *edited, *becomes; /* NULL: refused */
    } cases[] = {
        {"socks5://H:1", "socks5://u:p@H:1"},
        {"http://h:1", "http://u:p@h:1"},
        {"socks5://h:2", NULL},
        {"socks5://h.example:1", NULL},
        {"socks5://x@h:1", NULL},
        {"h:1", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"via\":{\"redacted\":true,\"url\":\"%s\"}}",
                 cases[i].edited);
        tunnel_msg *given = tunnel_of(text), *before = tunnel_of(text);
        tunnel_msg *present = tunnel_of("{\"via\":\"socks5://u:p@h:1\"}");
        struct udptun_error err = {0};
        int rc = object_fill_redacted(&given->base, &present->base, "x", &err);
        assert_int_equal(rc, cases[i].becomes ? 0 : UDPTUN_E_INVALID);
        if (cases[i].becomes) {
            assert_string_equal(given->via->text, cases[i].becomes);
        } else {
            assert_non_null(strstr(err.message, "x.via: the password is redacted"));
            assert_true(codec_equal(&given->base, &before->base));
        }
        free_tunnel(given);
        free_tunnel(before);
        free_tunnel(present);
    }
}

static void secrets_inside_other_messages_are_redacted(void **state)
{
    (void)state;
    tunnel_msg *tunnels[2] = {tunnel_of("{\"name\":\"a\"}"), tunnel_of("{\"key\":\"k\"}")};
    tunnel_msg *hidden = tunnel_of("{\"key\":{\"redacted\":true}}");
    config_msg config = UDPTUN__CONTROL__CONFIG__INIT;
    config.udp_tunnels = tunnels;
    config.n_udp_tunnels = 2;
    assert_int_equal(object_redact(&config.base), 0);
    assert_true(codec_equal(&tunnels[1]->base, &hidden->base));
    free_tunnel(tunnels[0]);
    free_tunnel(tunnels[1]);
    free_tunnel(hidden);
}

static void what_is_secret_is_redacted(void **state)
{
    (void)state;
    static const struct {
        const char *given, *expected;
    } cases[] = {
        {"{\"key\":\"k@k\"}", "{\"key\":{\"redacted\":true}}"},
        {"{\"via\":\"socks5://u:p@h:1\"}",
         "{\"via\":{\"redacted\":true,\"url\":\"socks5://h:1\"}}"},
        {"{\"via\":\"socks5://u:p%40@x@[::1]:1\"}",
         "{\"via\":{\"redacted\":true,\"url\":\"socks5://[::1]:1\"}}"},
        {"{\"via\":\"socks5://h:1\",\"keyFile\":\"a@b\"}",
         "{\"via\":\"socks5://h:1\",\"keyFile\":\"a@b\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tunnel_msg *given = tunnel_of(cases[i].given), *expected = tunnel_of(cases[i].expected);
        assert_int_equal(object_redact(&given->base), 0);
        assert_true(codec_equal(&given->base, &expected->base));
        assert_int_equal(object_redact(&given->base), 0); /* again: nothing more to do */
        assert_true(codec_equal(&given->base, &expected->base));
        free_tunnel(given);
        free_tunnel(expected);
    }
}

/* ---- what is kept ---------------------------------------------------------------------------- */

static void what_is_kept_over_a_restart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool of_file, kept;
    } cases[] = {
        {"{\"name\":\"a\"}", false, true},
        {"{\"name\":\"a\"}", true, false},
        {"{\"name\":\"a\",\"ephemeral\":false}", false, true},
        {"{\"name\":\"a\",\"ephemeral\":true}", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tunnel_msg *tunnel = tunnel_of(cases[i].text);
        struct object object = {.message = &tunnel->base, .of_file = cases[i].of_file};
        assert_int_equal(object_keeps(cases[i].of_file, &tunnel->base), cases[i].kept);
        assert_int_equal(object_is_kept(&object), cases[i].kept);
        free_tunnel(tunnel);
    }
    assert_false(object_keeps(false, NULL));
    tun2socks_msg handed_over = UDPTUN__CONTROL__TUN2SOCKS__INIT;
    char device[] = "fd:0";
    handed_over.device = device;
    assert_false(object_keeps(false, &handed_over.base));
}

static void objects_are_in_the_order_of_their_names(void **state)
{
    (void)state;
    struct objects o = {0};
    static const char *const names[] = {"d", "b", "file", "e"};
    for (size_t i = 0; i < 4; i++) {
        char text[32];
        snprintf(text, sizeof text, "{\"name\":\"%s\"}", names[i]);
        tunnel_msg *tunnel = tunnel_of(text);
        struct object *object = objects_add(&o, tunnel->name);
        object->of_file = strcmp(tunnel->name, "file") == 0;
        objects_set(&o, object, &tunnel->base);
    }
    assert_int_equal(o.count, 4);
    assert_string_equal(o.items[0].name, "b");
    assert_string_equal(o.items[3].name, "file");
    objects_set(&o, objects_find(&o, "d"), NULL);    /* goes with its message */
    objects_set(&o, objects_find(&o, "file"), NULL); /* stays the file's */
    assert_int_equal(o.count, 3);
    assert_null(objects_find(&o, "d"));
    objects_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_action_of_the_schema_is_in_the_table),
        cmocka_unit_test(every_return_value_is_that_of_an_action),
        cmocka_unit_test(a_server_arrives_field_by_field),
        cmocka_unit_test(a_local_arrives_field_by_field),
        cmocka_unit_test(no_field_of_the_schema_is_forgotten),
        cmocka_unit_test(fields_of_an_admin_are_found),
        cmocka_unit_test(devices_of_an_admin_are_told_from_an_operators),
        cmocka_unit_test(every_field_of_an_object_has_a_row),
        cmocka_unit_test(a_redacted_secret_is_filled_in_or_refused),
        cmocka_unit_test(an_edited_url_keeps_its_password_for_the_same_host_alone),
        cmocka_unit_test(secrets_inside_other_messages_are_redacted),
        cmocka_unit_test(what_is_secret_is_redacted),
        cmocka_unit_test(what_is_kept_over_a_restart),
        cmocka_unit_test(objects_are_in_the_order_of_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
