/* SPDX-License-Identifier: Apache-2.0 */
/* test_peek.c - action and id are found before a message is decoded, its size is bounded, and that
 * costs the same number of allocations however large the message is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/peek.h"

static size_t allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

static void *json_malloc_counted(size_t size)
{
    return __wrap_malloc(size);
}

static struct peek peek_text(const char *text)
{
    struct peek peek;
    envelope_peek(ENCODING_JSON, (const uint8_t *)text, strlen(text), &peek);
    assert_non_null(peek.head);
    return peek;
}

static void action_and_id_are_found_where_they_stand(void **state)
{
    (void)state;
    static const struct {
        const char *text, *action;
        long long id; /* 0: none */
    } cases[] = {
        {"{\"action\":\"hello\",\"id\":7}", "hello", 7},
        {" { \"id\" : 7 , \"parameters\":{\"action\":\"no\",\"id\":1} , \"action\" : \"hello\" } ",
         "hello", 7},
        {"{\"\\u0061ction\":\"h\\u0065llo\",\"id\":7}", "hello", 7},
        {"{\"x\":\"\\\"action\\\":\\\"no\\\",\",\"action\":\"hello\"}", "hello", 0},
        {"{\"action\":\"hello\",\"action\":\"no\"}", "hello", 0}, /* refused when it is decoded */
        {"{\"action\":\"hello\",\"parameters\":{", "hello", 0},
        {"{\"x\":[\"action\",\"no\",{\"action\":\"no\"}]}", NULL, 0},
        {"{\"action\":5,\"id\":[]}", NULL, 0},
        {"{\"action\" \"hello\"}", NULL, 0},
        {"{\"action\":\"hel", NULL, 0},
        {"{\"action\":\"hello\\", NULL, 0},
        {"}]},{\"action\":\"hello\"}", "hello", 0},
        {"", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peek peek = peek_text(cases[i].text);
        if (cases[i].action && (!peek.head->action || strcmp(peek.head->action, cases[i].action)))
            fail_msg("%s: no action", cases[i].text);
        if (!cases[i].action)
            assert_null(peek.head->action);
        assert_int_equal(peek.head->id ? peek.head->id->number : 0, cases[i].id);
        envelope_free(peek.head);
    }
}

static void what_is_in_a_message_is_bounded(void **state)
{
    (void)state;
    struct peek peek = peek_text("{\"a\":[1,2,{}],\"b\":\"{[,,\",\"c\":[]}");
    assert_true(peek.values >= 6 && peek.values <= 9); /* 3 members, 3 items, the whole */
    assert_int_equal(peek.containers, 4);
    assert_true(peek.text >= 8 && peek.text <= 20);
    envelope_free(peek.head);
    peek = peek_text("{\"a\":          5}");
    assert_true(peek.text < 6); /* white space is free */
    envelope_free(peek.head);
}

/* `head` in that encoding, with `count` times `item` in its parameters; the caller frees it. */
static size_t build(enum encoding encoding, size_t count, uint8_t **out)
{
    size_t room = 64 + 4 * count, size;
    char *text = malloc(room);
    assert_non_null(text);
    if (encoding == ENCODING_JSON) {
        size = (size_t)snprintf(text, room, "{\"action\":\"hello\",\"id\":7,\"parameters\":[0");
        for (size_t i = 0; i < count; i++, size += 3)
            memcpy(text + size, ",[]", 3);
        memcpy(text + size, "]}", 2);
        size += 2;
    } else {
        static const char head[] = "\0\0\0\0\x0a\5hello\x12\2\x08\7";
        size = sizeof head - 1;
        memcpy(text, head, size);
        for (size_t i = 0; i < count; i++, size += 2) /* empty parameters, again and again */
            memcpy(text + size, "\x1a\0", 2);
    }
    *out = (uint8_t *)text;
    return size;
}

static void a_large_message_takes_no_more_allocations(void **state)
{
    (void)state;
    json_set_alloc_funcs(json_malloc_counted, free);
    for (enum encoding e = ENCODING_JSON; e <= ENCODING_PROTOBUF; e++) {
        static const size_t counts[] = {1, 200000};
        size_t used[2];
        for (size_t i = 0; i < 2; i++) {
            uint8_t *data;
            size_t size = build(e, counts[i], &data);
            struct peek peek;
            allocations = 0;
            envelope_peek(e, data, size, &peek);
            used[i] = allocations;
            assert_string_equal(peek.head->action, "hello");
            assert_int_equal(peek.head->id->number, 7);
            assert_true(peek.values >= counts[i] && peek.containers >= counts[i]);
            envelope_free(peek.head);
            free(data);
        }
        assert_int_equal(used[0], used[1]);
    }
}

static void packed_items_are_counted(void **state)
{
    (void)state;
    /* subscribe: parameters.subscribe.topics, four in one field */
    static const uint8_t data[] = "\0\0\0\0\x1a\x08\x5a\x06\x0a\x04\1\1\1\1";
    struct peek peek;
    envelope_peek(ENCODING_PROTOBUF, data, sizeof data - 1, &peek);
    assert_true(peek.values >= 4);
    envelope_free(peek.head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(action_and_id_are_found_where_they_stand),
        cmocka_unit_test(what_is_in_a_message_is_bounded),
        cmocka_unit_test(a_large_message_takes_no_more_allocations),
        cmocka_unit_test(packed_items_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
