/* SPDX-License-Identifier: Apache-2.0 */
/* test_state.c - the state as JSON, records, and the journal: cut at any byte, any byte wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/store/journal.h"

static struct state state_of(const char *text)
{
    struct state s;
    struct udptun_error err = {0};
    assert_int_equal(state_init(&s), 0);
    if (state_parse(&s, text, strlen(text), &err) < 0)
        fail_msg("%s", err.message);
    return s;
}

/* The state is what this text says, generation and order of members apart. */
static void assert_state(const struct state *s, const char *expected)
{
    char *text = state_text(s, 1);
    json_t *is = json_loads(text, 0, NULL), *wanted = json_loads(expected, 0, NULL);
    json_object_del(is, "generation");
    json_object_del(is, "format");
    if (!json_equal(is, wanted))
        fail_msg("%s", text);
    json_decref(is);
    json_decref(wanted);
    free(text);
}

static int apply(struct state *s, const char *record)
{
    json_t *json = json_loads(record, 0, NULL);
    int rc = state_apply(s, json);
    json_decref(json);
    return rc;
}

#define EMPTY "{\"udpTunnels\":[],\"tun2socks\":[]}"

static void formats_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        int format;
    } cases[] = {
        {"{}", 0, 1},
        {EMPTY, 0, 1},
        {"{\"format\":2,\"generation\":7}", 0, 2},
        {"{\"format\":3}", UDPTUN_E_UNSUPPORTED, 3},
        {"{\"format\":3,\"udpTunnels\":{}}", UDPTUN_E_UNSUPPORTED, 3},
        {"{\"format\":0}", UDPTUN_E_BAD_REQUEST, 0},
        {"{\"format\":\"2\"}", UDPTUN_E_BAD_REQUEST, -1},
        {"{\"format\":2,\"generation\":-1}", UDPTUN_E_BAD_REQUEST, 2},
        {"{\"udpTunnels\":[5]}", UDPTUN_E_BAD_REQUEST, 1},
        {"{\"udpTunnels\":[{}]}", UDPTUN_E_BAD_REQUEST, 1},
        {"{\"tun2socks\":7}", UDPTUN_E_BAD_REQUEST, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct state s;
        struct udptun_error err = {0};
        assert_int_equal(state_init(&s), 0);
        int rc = state_parse(&s, cases[i].text, strlen(cases[i].text), &err);
        if (rc != cases[i].code || s.format != cases[i].format)
            fail_msg("%s: %d, format %d", cases[i].text, rc, (int)s.format);
        assert_int_equal(err.code, rc);
        state_fini(&s);
    }
}

static void records_set_and_remove(void **state)
{
    (void)state;
    struct state s = state_of(
        "{\"more\":1,\"udpTunnels\":[{\"name\":\"b\",\"new\":[2]},"
        "{\"name\":\"a\"}],\"tun2socks\":[{\"name\":\"t\"}]}");
    assert_int_equal(apply(&s, "{\"udpTunnels\":[{\"name\":\"b\",\"maxFlows\":3}]}"), 0);
    assert_state(&s,
                 "{\"more\":1,\"udpTunnels\":[{\"name\":\"a\"},{\"name\":\"b\",\"maxFlows\":3,"
                 "\"new\":[2]}],\"tun2socks\":[{\"name\":\"t\"}]}");
    /* a name passes to the other kind; what is not there is removed already */
    assert_int_equal(apply(&s, "{\"removed\":[\"a\",\"none\"],\"tun2socks\":[{\"name\":\"b\"}]}"),
                     0);
    assert_state(&s,
                 "{\"more\":1,\"udpTunnels\":[],\"tun2socks\":[{\"name\":\"b\"},"
                 "{\"name\":\"t\"}]}");
    assert_int_equal(apply(&s, "{\"all\":true,\"udpTunnels\":[{\"name\":\"z\"}]}"), 0);
    assert_state(&s, "{\"more\":1,\"udpTunnels\":[{\"name\":\"z\"}],\"tun2socks\":[]}");
    assert_int_equal(apply(&s, "{\"removed\":[5]}"), UDPTUN_E_BAD_REQUEST);
    assert_int_equal(apply(&s, "{\"udpTunnels\":[{}]}"), UDPTUN_E_BAD_REQUEST);
    assert_int_equal(apply(&s, "[]"), UDPTUN_E_BAD_REQUEST);
    state_fini(&s);
}

/* A journal of generation 7 in which "a" is set, then "b", then "a" removed but not validly. */
static char *journal(void)
{
    static const char *const records[] = {"{\"udpTunnels\":[{\"name\":\"a\"}]}",
                                          "{\"udpTunnels\":[{\"name\":\"b\"}]}",
                                          "{\"removed\":[\"a\"]}"};
    char *text = calloc(1, 1000), *head = journal_head(7);
    strcpy(text, head);
    free(head);
    for (size_t i = 0; i < 3; i++) {
        json_t *record = json_loads(records[i], 0, NULL);
        char *line = journal_line(record);
        assert_int_equal(line[0], '-');
        if (i < 2)
            line[0] = JOURNAL_VALID;
        strcat(text, line);
        free(line);
        json_decref(record);
    }
    return text;
}

#define BASE "{\"format\":2,\"generation\":7}"

/* The number of objects that a journal makes; -1: it is damaged. */
static int apply_journal(const char *text, size_t size, size_t *end)
{
    struct state s = state_of(BASE);
    int rc = journal_apply(&s, text, size, end);
    int count = (int)json_object_size(s.tunnels);
    assert_true(rc == 0 || rc == UDPTUN_E_BAD_REQUEST);
    assert_int_equal(count, (json_object_get(s.tunnels, "a") != NULL) +
                                (json_object_get(s.tunnels, "b") != NULL));
    state_fini(&s);
    return rc == 0 ? count : -1;
}

static void a_journal_cut_at_any_byte_is_what_was_whole(void **state)
{
    (void)state;
    char *text = journal();
    size_t size = strlen(text), end;
    size_t first = (size_t)(strchr(text, '\n') - text) + 1;
    size_t second = (size_t)(strchr(text + first, '\n') - text) + 1;
    size_t third = (size_t)(strchr(text + second, '\n') - text) + 1;
    for (size_t cut = 0; cut <= size; cut++) {
        int count = apply_journal(text, cut, &end);
        int whole = cut >= third ? 2 : cut >= second ? 1 : 0;
        /* The mark of a valid line is written when the line is whole: less is damage. */
        bool damaged = cut > first && cut != second && cut < third;
        assert_int_equal(count, damaged ? -1 : whole);
        assert_true(end <= cut);
        if (!damaged && cut >= first && cut < size)
            assert_int_equal(end, cut >= third ? third : cut >= second ? second : first);
    }
    free(text);
}

static void a_wrong_byte_anywhere_adds_nothing(void **state)
{
    (void)state;
    char *text = journal();
    size_t size = strlen(text), end;
    for (size_t at = 0; at < size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            text[at] = (char)(text[at] ^ 1 << bit);
            assert_true(apply_journal(text, size, &end) <= 2);
            assert_true(end <= size);
            text[at] = (char)(text[at] ^ 1 << bit);
        }
    }
    assert_int_equal(apply_journal(text, size, &end), 2);
    assert_int_equal(end, size);
    free(text);
}

static void a_journal_of_another_generation_is_not_read(void **state)
{
    (void)state;
    char *text = journal();
    size_t end;
    struct state s = state_of("{\"format\":2,\"generation\":8}");
    assert_int_equal(journal_apply(&s, text, strlen(text), &end), 0);
    assert_int_equal(end, 0);
    assert_state(&s, EMPTY);
    state_fini(&s);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_told_apart),
        cmocka_unit_test(records_set_and_remove),
        cmocka_unit_test(a_journal_cut_at_any_byte_is_what_was_whole),
        cmocka_unit_test(a_wrong_byte_anywhere_adds_nothing),
        cmocka_unit_test(a_journal_of_another_generation_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
