/* SPDX-License-Identifier: Apache-2.0 */
/* test_codec.c - JSON <-> messages: nothing is lost on the way, and errors name their field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/codec.h"
#include "proto/control/envelope.h"

/* ---- random JSON of a message's kind ------------------------------------------------------- */

static uint64_t random_state;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13; /* xorshift64, Marsaglia 2003 */
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static bool chance(void)
{
    return random_number() % 2 == 0;
}

static json_t *random_message(const ProtobufCMessageDescriptor *kind, const char *tag);

static json_t *random_text(void)
{
    static const char *const pieces[] = {"",
                                         "a",
                                         "127.0.0.1:53",
                                         "\"\\\n",
                                         "\xc3\xa4\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80",
                                         "udp://[::1]:0"};
    char text[128] = "";
    for (uint64_t n = random_number() % 4; n > 0; n--)
        strcat(text, pieces[random_number() % (sizeof pieces / sizeof *pieces)]);
    return json_string(text);
}

static json_t *random_value(const ProtobufCFieldDescriptor *field, const char *tag)
{
    const ProtobufCEnumDescriptor *words = field->descriptor;
    char word[CODEC_NAME_SIZE];
    uint64_t number = random_number() >> (random_number() % 64);
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
        return json_integer((uint32_t)number);
    case PROTOBUF_C_TYPE_UINT64:
        return json_integer((json_int_t)(number >> 1));
    case PROTOBUF_C_TYPE_INT64:
        return json_integer((json_int_t)number);
    case PROTOBUF_C_TYPE_DOUBLE:
        return chance() ? json_real((double)(number >> 34) / 8.) : json_null();
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(chance());
    case PROTOBUF_C_TYPE_ENUM:
        strcpy(word, words->values[random_number() % words->n_values].name);
        for (char *at = word; *at; at++)
            *at = *at == '_' ? '-' : (char)(*at | 0x20);
        return json_string(word);
    case PROTOBUF_C_TYPE_STRING:
        return random_text();
    case PROTOBUF_C_TYPE_MESSAGE:
        return random_message(field->descriptor, tag);
    default:
        fail_msg("%s: of a type that the codec does not carry", field->name);
        return NULL;
    }
}

static json_t *random_field(const ProtobufCFieldDescriptor *field, const char *tag)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return random_value(field, tag);
    json_t *array = json_array();
    for (uint64_t n = random_number() % 4; n > 0; n--)
        json_array_append_new(array, random_value(field, tag));
    return array;
}

/* NULL for a union that has no member of that tag. */
static json_t *random_message(const ProtobufCMessageDescriptor *kind, const char *tag)
{
    bool is_union = kind->n_fields > 0 && kind->fields[0].flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    if (is_union && kind->n_fields > 2) {
        const ProtobufCFieldDescriptor *member = codec_field(kind, tag);
        return member ? random_field(member, tag) : NULL;
    }
    if (is_union)
        return random_field(&kind->fields[random_number() % kind->n_fields], tag);
    if (kind->n_fields == 1 && strcmp(kind->fields[0].name, "items") == 0)
        return random_field(&kind->fields[0], tag);
    json_t *object = json_object();
    for (unsigned i = 0; i < kind->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &kind->fields[i];
        char name[CODEC_NAME_SIZE];
        if (field->label != PROTOBUF_C_LABEL_REPEATED && chance())
            continue;
        json_t *value = random_field(field, tag);
        if (value)
            json_object_set_new(object, codec_json_name(field->name, name), value);
    }
    return object;
}

/* JSON -> struct -> protobuf -> struct -> JSON. */
static void assert_survives(const ProtobufCMessageDescriptor *kind, const json_t *json,
                            const char *tag)
{
    struct udptun_error err = {0};
    const struct codec_options options = {.tag = tag};
    ProtobufCMessage *first = NULL;
    if (codec_from_json(kind, json, &options, &first, &err) < 0)
        fail_msg("%s: %s", err.message, json_dumps(json, 0));
    uint8_t *packed = malloc(protobuf_c_message_get_packed_size(first) + 1);
    size_t size = protobuf_c_message_pack(first, packed);
    ProtobufCMessage *second = protobuf_c_message_unpack(kind, NULL, size, packed);
    assert_non_null(second);
    assert_int_equal(codec_check(second, NULL, &err), 0);
    assert_true(codec_equal(first, second));
    json_t *back = codec_to_json(second);
    if (!json_equal((json_t *)(uintptr_t)json, back))
        fail_msg("%s\nbecame\n%s", json_dumps(json, 0), json_dumps(back, 0));
    json_decref(back);
    protobuf_c_message_free_unpacked(first, NULL);
    protobuf_c_message_free_unpacked(second, NULL);
    free(packed);
}

static void json_survives_the_way_through_protobuf(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *kind = &udptun__control__envelope__descriptor;
    const ProtobufCMessageDescriptor *actions = &udptun__control__parameters__descriptor;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
        for (unsigned i = 0; i < actions->n_fields; i++) {
            char action[CODEC_NAME_SIZE];
            codec_json_name(actions->fields[i].name, action);
            json_t *json = random_message(kind, action);
            json_object_set_new(json, "action", json_string(action));
            assert_survives(kind, json, action);
            json_decref(json);
        }
    }
}

/* ---- the JSON form, spelled out ------------------------------------------------------------- */

static void the_json_form_is_that_of_the_contract(void **state)
{
    (void)state;
    static const char text[] =
        "{\"action\":\"configureUdpTunnel\",\"id\":\"x\",\"parameters\":{\"name\":\"t\","
        "\"role\":\"server\",\"listen\":\"127.0.0.1:0\",\"tcpProxy\":\"socks5://h:1\","
        "\"key\":{\"redacted\":true},\"allowTargets\":[],\"denyTargets\":[\"10.0.0.0/8\"],"
        "\"filtering\":\"address-port\",\"maxFlowsPerSession\":9,\"maxQueueDelayMs\":5,"
        "\"merge\":true,\"wait\":1.5}}\n";
    envelope_msg *message = NULL;
    struct udptun_error err = {0};
    assert_int_equal(
        envelope_decode(ENCODING_JSON, (const uint8_t *)text, sizeof text - 1, 0, &message, &err),
        0);
    const tunnel_msg *t = message->parameters->configure_udp_tunnel;
    assert_string_equal(message->id->text, "x");
    assert_string_equal(t->listen->text, "127.0.0.1:0");
    assert_true(t->key->redacted->redacted);
    assert_non_null(t->allow_targets);
    assert_int_equal(t->allow_targets->n_items, 0);
    assert_int_equal(t->filtering, UDPTUN__CONTROL__TUNNEL__FILTERING__ADDRESS_PORT);
    assert_int_equal(t->max_flows_per_session, 9);
    assert_true(t->has_wait && t->wait > 1.4 && t->wait < 1.6);
    struct envelope_bytes bytes;
    assert_int_equal(envelope_encode(ENCODING_JSON, message, &bytes), 0);
    assert_int_equal(bytes.size, sizeof text - 1);
    assert_memory_equal(bytes.data, text, bytes.size);
    free(bytes.data);
    envelope_free(message);
}

static void both_encodings_carry_the_same_message(void **state)
{
    (void)state;
    static const char text[] = "{\"action\":\"listFlows\",\"id\":7,\"parameters\":{\"limit\":3}}\n";
    envelope_msg *message = NULL, *again = NULL;
    struct envelope_bytes bytes;
    assert_int_equal(
        envelope_decode(ENCODING_JSON, (const uint8_t *)text, sizeof text - 1, 0, &message, NULL),
        0);
    assert_int_equal(envelope_encode(ENCODING_PROTOBUF, message, &bytes), 0);
    assert_int_equal(bytes.data[0], 0);
    assert_int_equal(bytes.data[3], bytes.size - SCAN_PREFIX_SIZE);
    assert_int_equal(envelope_decode(ENCODING_PROTOBUF, bytes.data, bytes.size, 0, &again, NULL),
                     0);
    assert_true(codec_equal(&message->base, &again->base));
    free(bytes.data);
    envelope_free(message);
    envelope_free(again);
}

/* ---- errors --------------------------------------------------------------------------------- */

struct bad {
    const char *parameters; /* of configureUdpTunnel */
    const char *field;
    const char *message; /* a part of it */
};

static const struct bad bad_parameters[] = {
    {"{\"name\":5}", "parameters.name", "expected a string, not an integer"},
    {"{\"name\":null}", "parameters.name", "expected a string, not null"},
    {"{\"nam\":\"x\"}", "parameters.nam", "unknown field"},
    {"{\"max_flows\":1}", "parameters.max_flows", "unknown field"},
    {"{\"connections\":-1}", "parameters.connections", "out of range"},
    {"{\"connections\":4294967296}", "parameters.connections", "out of range"},
    {"{\"connections\":1e300}", "parameters.connections", "out of range"},
    {"{\"connections\":99999999999999999999}", "parameters.connections", "out of range"},
    {"{\"connections\":1.5}", "parameters.connections", "expected an integer"},
    {"{\"connections\":\"8\"}", "parameters.connections", "expected an integer, not a string"},
    {"{\"maxQueueBytes\":-1}", "parameters.maxQueueBytes", "out of range"},
    {"{\"insecure\":1}", "parameters.insecure", "expected a boolean"},
    {"{\"role\":\"LOCAL\"}", "parameters.role", "expected one of local, server"},
    {"{\"role\":1}", "parameters.role", "expected a string"},
    {"{\"listen\":1}", "parameters.listen", "expected a string"},
    {"{\"key\":{\"redacted\":1}}", "parameters.key.redacted", "expected a boolean"},
    {"{\"allowTargets\":\"10.0.0.0/8\"}", "parameters.allowTargets", "expected an array"},
    {"{\"allowTargets\":[\"a\",2]}", "parameters.allowTargets[1]", "expected a string"},
    {"[]", "parameters", "expected an object, not an array"},
};

static void errors_name_the_field_and_keep_action_and_id(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_parameters / sizeof *bad_parameters; i++) {
        const struct bad *bad = &bad_parameters[i];
        char text[256];
        int size = snprintf(text, sizeof text,
                            "{\"parameters\":%s,\"id\":9,\"action\":\"configureUdpTunnel\"}",
                            bad->parameters);
        envelope_msg *message = NULL;
        struct udptun_error err = {0};
        assert_int_equal(
            envelope_decode(ENCODING_JSON, (const uint8_t *)text, (size_t)size, 0, &message, &err),
            UDPTUN_E_INVALID);
        assert_string_equal(err.field, bad->field);
        if (!strstr(err.message, bad->message))
            fail_msg("%s: %s", bad->parameters, err.message);
        assert_string_equal(message->action, "configureUdpTunnel");
        assert_int_equal(message->id->number, 9);
        assert_null(message->parameters);
        envelope_free(message);
    }
}

static void what_is_not_json_is_a_bad_request(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"action\"}",
        "{]",
        "{\"action\":\"hello\",\"action\":\"hello\"}",
        "{\"action\":\"hello\",\"parameters\":{\"role\":\"admin\",\"role\":\"admin\"}}",
        "{\"action\":\"\xff\"}",
        "{\"action\":\"\xc3\"}",
        "{\"action\":\"\xed\xa0\x80\"}",
        "{\"action\":\"a\\u0000b\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        envelope_msg *message = NULL;
        struct udptun_error err = {0};
        assert_int_equal(envelope_decode(ENCODING_JSON, (const uint8_t *)texts[i], strlen(texts[i]),
                                         0, &message, &err),
                         UDPTUN_E_BAD_REQUEST);
        assert_null(message);
        assert_true(err.message[0]);
    }
}

static void an_error_of_the_text_quotes_none_of_it(void **state)
{
    (void)state;
    static const char text[] = "{\"key\":\"secret\" \"secret\"}";
    envelope_msg *message = NULL;
    struct udptun_error err = {0};
    assert_int_equal(
        envelope_decode(ENCODING_JSON, (const uint8_t *)text, sizeof text - 1, 0, &message, &err),
        UDPTUN_E_BAD_REQUEST);
    assert_null(strstr(err.message, "secret"));
    assert_non_null(strstr(err.message, "line 1, column"));
}

static void unknown_protobuf_fields_and_enum_values_are_refused(void **state)
{
    (void)state;
    /* parameters { configure_udp_tunnel { } } with field 99 = 1, then with role = 77 (proto2 keeps
     * an unknown enum value). */
    static const uint8_t unknown_field[] = {0, 0, 0, 7, 0x1a, 5, 0x12, 3, 0x98, 6, 1};
    static const uint8_t unknown_value[] = {0, 0, 0, 6, 0x1a, 4, 0x12, 2, 0x10, 77};
    static const uint8_t not_a_message[] = {0, 0, 0, 2, 0x1a, 0x7f};
    envelope_msg *message = NULL;
    struct udptun_error err = {0};
    assert_int_equal(
        envelope_decode(ENCODING_PROTOBUF, unknown_field, sizeof unknown_field, 0, &message, &err),
        UDPTUN_E_INVALID);
    assert_string_equal(err.field, "parameters");
    envelope_free(message);
    assert_int_equal(
        envelope_decode(ENCODING_PROTOBUF, unknown_value, sizeof unknown_value, 0, &message, &err),
        UDPTUN_E_INVALID);
    assert_string_equal(err.field, "parameters.role");
    envelope_free(message);
    assert_int_equal(
        envelope_decode(ENCODING_PROTOBUF, not_a_message, sizeof not_a_message, 0, &message, &err),
        UDPTUN_E_BAD_REQUEST);
    assert_null(message);
}

static void a_merge_replaces_whole_fields_and_leaves_the_others(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"name\":\"t\",\"connections\":4,\"allowTargets\":[\"a\",\"b\"],\"key\":\"k\"}",
        "{\"connections\":0,\"allowTargets\":[],\"insecure\":false}",
        "{\"name\":\"t\",\"connections\":0,\"key\":\"k\",\"insecure\":false,\"allowTargets\":[]}",
    };
    ProtobufCMessage *messages[3];
    for (size_t i = 0; i < 3; i++) {
        json_t *json = json_loads(texts[i], 0, NULL);
        assert_int_equal(
            codec_from_json(&udptun__control__tunnel__descriptor, json, NULL, &messages[i], NULL),
            0);
        json_decref(json);
    }
    codec_merge(messages[0], messages[1]);
    assert_true(codec_equal(messages[0], messages[2]));
    for (size_t i = 0; i < 3; i++)
        protobuf_c_message_free_unpacked(messages[i], NULL);
}

static void texts_that_are_not_utf8_still_make_json(void **state)
{
    (void)state;
    envelope_msg message = UDPTUN__CONTROL__ENVELOPE__INIT;
    char text[] = "file \xff";
    message.error_message = text;
    struct envelope_bytes bytes;
    assert_int_equal(envelope_encode(ENCODING_JSON, &message, &bytes), 0);
    static const char expected[] = "{\"errorMessage\":\"file ?\"}\n";
    assert_int_equal(bytes.size, sizeof expected - 1);
    assert_memory_equal(bytes.data, expected, bytes.size);
    free(bytes.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_survives_the_way_through_protobuf),
        cmocka_unit_test(the_json_form_is_that_of_the_contract),
        cmocka_unit_test(both_encodings_carry_the_same_message),
        cmocka_unit_test(errors_name_the_field_and_keep_action_and_id),
        cmocka_unit_test(what_is_not_json_is_a_bad_request),
        cmocka_unit_test(an_error_of_the_text_quotes_none_of_it),
        cmocka_unit_test(unknown_protobuf_fields_and_enum_values_are_refused),
        cmocka_unit_test(a_merge_replaces_whole_fields_and_leaves_the_others),
        cmocka_unit_test(texts_that_are_not_utf8_still_make_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
