/* SPDX-License-Identifier: Apache-2.0 */
/* test_codec_memory.c - each allocation of the codec fails in turn, alone or with all that follow:
 * a code, no leak, no crash, and no text of which a part is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/envelope.h"

static long allocations_left = -1; /* -1: no limit */
static bool only_one;              /* of the allocations is refused, not those after it as well */
static bool refused;

static bool refuse(void)
{
    if (allocations_left != 0) {
        allocations_left -= allocations_left > 0;
        return false;
    }
    refused = true;
    if (only_one)
        allocations_left = -1;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return refuse() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refuse() ? NULL : __real_calloc(count, size);
}

char *__wrap_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = __wrap_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

static const char good[] =
    "{\"action\":\"configureUdpTunnel\",\"id\":\"x\",\"parameters\":{\"name\":\"t\","
    "\"role\":\"server\",\"listen\":\"127.0.0.1:0\",\"key\":{\"redacted\":true},"
    "\"allowTargets\":[\"10.0.0.0/8\",\"[::]/0\"],\"maxQueueBytes\":99999,\"wait\":0.5}}";
static const char bad[] = "{\"action\":\"hello\",\"id\":3,\"parameters\":{\"x\":[1,{}]}}";

static void decoding_survives_every_refusal(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
    } cases[] = {{good, 0}, {bad, UDPTUN_E_INVALID}};
    for (size_t i = 0; i < 2; i++) {
        for (long limit = 0;; limit++) {
            envelope_msg *message = NULL;
            struct udptun_error err = {0};
            refused = false;
            allocations_left = limit;
            int rc = envelope_decode(ENCODING_JSON, (const uint8_t *)cases[i].text,
                                     strlen(cases[i].text), 0, &message, &err);
            allocations_left = -1;
            envelope_free(message);
            if (!refused) {
                assert_true(limit > 5);
                assert_int_equal(rc, cases[i].code);
                break;
            }
            /* jansson takes some refusals for an error of the text. */
            assert_true(rc == UDPTUN_E_NOMEM || rc == UDPTUN_E_INVALID ||
                        rc == UDPTUN_E_BAD_REQUEST);
            assert_int_equal(err.code, rc);
        }
    }
}

static void encode_with_refusals(void)
{
    envelope_msg *message = NULL;
    assert_int_equal(
        envelope_decode(ENCODING_JSON, (const uint8_t *)good, sizeof good - 1, 0, &message, NULL),
        0);
    struct envelope_bytes whole;
    assert_int_equal(envelope_encode(ENCODING_JSON, message, &whole), 0);
    for (long limit = 0;; limit++) {
        struct envelope_bytes json, protobuf;
        refused = false;
        allocations_left = limit;
        int rc = envelope_encode(ENCODING_JSON, message, &json);
        int rc2 = envelope_encode(ENCODING_PROTOBUF, message, &protobuf);
        ProtobufCMessage *copy = codec_copy(&message->base);
        allocations_left = -1;
        assert_true(rc == 0 ? json.data != NULL : rc == UDPTUN_E_NOMEM && json.data == NULL);
        if (rc == 0) { /* not a byte is left out */
            assert_int_equal(json.size, whole.size);
            assert_memory_equal(json.data, whole.data, whole.size);
        }
        assert_true(rc2 == 0 ? protobuf.data != NULL : rc2 == UDPTUN_E_NOMEM);
        assert_true(refused || copy);
        free(json.data);
        free(protobuf.data);
        if (copy)
            protobuf_c_message_free_unpacked(copy, NULL);
        if (!refused)
            break;
    }
    free(whole.data);
    envelope_free(message);
}

static void encoding_survives_every_refusal(void **state)
{
    (void)state;
    encode_with_refusals();
    only_one = true;
    encode_with_refusals();
    only_one = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_survives_every_refusal),
        cmocka_unit_test(encoding_survives_every_refusal),
    };
    json_set_alloc_funcs(__wrap_malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
