/* SPDX-License-Identifier: Apache-2.0 */
/* test_top.c - what "udptunctl top" shows, without a terminal, a daemon or a clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "controller/cli/top/model.h"

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

/* A getStatus with tunnels of these (name, txBytes), and one tun2socks instance. */
static void tell(struct top_model *model, int64_t now_ms, int count, const char *const *names,
                 const int *tx_bytes)
{
    json_t *tunnels = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(tunnels,
                              json_pack("{s:s,s:s,s:s,s:i,s:i,s:{s:i,s:i}}", "name", names[i],
                                        "role", "local", "state", "established", "txBytes",
                                        tx_bytes[i], "txPackets", tx_bytes[i] / 100, "dropped",
                                        "stale", tx_bytes[i] / 200, "queue", 0));
    json_t *status = json_pack("{s:o,s:[{s:s,s:s,s:i}]}", "udpTunnels", tunnels, "tun2socks",
                               "name", "tun", "state", "running", "txBytes", 7);
    model_status(model, status, now_ms);
    json_decref(status);
}

static void tell_flows(struct top_model *model, const char *name, int64_t now_ms, const char *text)
{
    json_t *flows = parse(text);
    model_objects(model, TOP_FLOWS, name, flows, false, now_ms);
    json_decref(flows);
}

static const char *const abc[] = {"b", "a", "c"};

static int setup(void **state)
{
    static struct top_model model;
    model_init(&model);
    *state = &model;
    return 0;
}

static int teardown(void **state)
{
    model_fini(*state);
    return 0;
}

/* The keys from top to bottom, with a star behind the selected one. */
static const char *picture(struct top_model *model)
{
    static char text[256];
    const struct top_list *list = model_list(model);
    text[0] = '\0';
    for (size_t i = 0; i < list->count; i++) {
        strcat(text, list->order[i]->key);
        strcat(text, i == list->selected ? "* " : " ");
    }
    return text;
}

static void rates_are_what_moved_in_a_second(void **state)
{
    struct top_model *model = *state;
    double tx, rx;
    tell(model, 1000, 3, abc, (int[]){100, 200, 300});
    model_totals(model, &tx, &rx);
    assert_true(tx == 0 && rx == 0); /* just seen */
    tell(model, 3000, 3, abc, (int[]){100, 10200, 4300});
    const struct top_row *rows = model->lists[TOP_TUNNELS].rows;
    assert_string_equal(rows[0].key, "a");
    assert_true(rows[0].tx_bytes_s == 5000);
    assert_true(rows[0].tx_packets_s == 50);
    assert_true(rows[0].dropped_s == 25);
    assert_true(rows[1].tx_bytes_s == 0);
    assert_true(rows[2].tx_bytes_s == 2000);
    model_totals(model, &tx, &rx);
    assert_true(tx == 7000);
}

static void what_begins_anew_has_no_rate(void **state)
{
    struct top_model *model = *state;
    tell(model, 1000, 1, abc, (int[]){5000});
    tell(model, 2000, 1, abc, (int[]){10}); /* the daemon was restarted */
    assert_true(model->lists[TOP_TUNNELS].rows[0].tx_bytes_s == 0);
    tell(model, 2000, 1, abc, (int[]){20}); /* no time has passed */
    assert_true(model->lists[TOP_TUNNELS].rows[0].tx_bytes_s == 0);
}

static void rows_are_sorted_by_the_column_that_is_chosen(void **state)
{
    struct top_model *model = *state;
    tell(model, 0, 3, abc, (int[]){0, 0, 0});
    tell(model, 1000, 3, abc, (int[]){30, 10, 20});
    assert_string_equal(picture(model), "a* b c tun ");
    model_key(model, TOP_KEY_TURN, 0);
    assert_string_equal(picture(model), "tun* c b a ");
    struct top_list *list = model_list(model);
    while (strcmp(list->table->columns[list->sort].head.title, "TX") != 0)
        model_key(model, TOP_KEY_SORT_NEXT, 0);
    assert_string_equal(picture(model), "b* c a tun ");
    model_key(model, TOP_KEY_TURN, 0);
    assert_string_equal(picture(model), "tun* a c b ");
    for (size_t i = 0; i < list->table->column_count; i++)
        model_key(model, TOP_KEY_SORT_PREVIOUS, 0); /* once around: the order is the first again */
    assert_string_equal(picture(model), "b* c a tun ");
}

static void columns_that_are_not_shown_are_not_sorted_by(void **state)
{
    struct top_model *model = *state;
    tell(model, 0, 3, abc, (int[]){0, 0, 0});
    struct top_list *list = model_list(model);
    list->widths[0] = list->widths[2] = 10;
    model_key(model, TOP_KEY_SORT_NEXT, 0);
    assert_int_equal(list->sort, 2);
    model_key(model, TOP_KEY_SORT_NEXT, 0);
    assert_int_equal(list->sort, 0);
}

static void the_selection_stays_on_its_row(void **state)
{
    struct top_model *model = *state;
    tell(model, 0, 3, abc, (int[]){0, 0, 0});
    model_key(model, TOP_KEY_DOWN, 0);
    model_key(model, TOP_KEY_DOWN, 0);
    assert_string_equal(picture(model), "a b c* tun ");
    tell(model, 1000, 2, (const char *const[]){"c", "0"}, (int[]){0, 0});
    assert_string_equal(picture(model), "0 c* tun ");
    tell(model, 2000, 2, (const char *const[]){"b", "0"}, (int[]){0, 0}); /* c is gone */
    assert_string_equal(picture(model), "0 b* tun ");
    for (int i = 0; i < 9; i++)
        model_key(model, TOP_KEY_DOWN, 0);
    assert_string_equal(picture(model), "0 b tun* ");
    model_key(model, TOP_KEY_HOME, 0);
    assert_string_equal(picture(model), "0* b tun ");
    model_key(model, TOP_KEY_UP, 0);
    model_key(model, TOP_KEY_END, 0);
    assert_string_equal(picture(model), "0 b tun* ");
    model->page = 2;
    model_key(model, TOP_KEY_PAGE_UP, 0);
    assert_string_equal(picture(model), "0* b tun ");
    tell(model, 3000, 0, abc, (int[]){0});
    assert_string_equal(picture(model), "tun* ");
}

static void the_top_row_is_a_place_not_a_row(void **state)
{
    struct top_model *model = *state;
    tell(model, 0, 1, (const char *const[]){"b"}, (int[]){0});
    tell(model, 1, 2, abc, (int[]){0, 0});
    assert_string_equal(picture(model), "a* b tun ");
}

static void the_selected_row_is_scrolled_into_sight(void **state)
{
    struct top_model *model = *state;
    tell(model, 0, 3, abc, (int[]){0, 0, 0});
    struct top_list *list = model_list(model);
    model_key(model, TOP_KEY_END, 0);
    rows_scroll(list, 2);
    assert_int_equal(list->first, 2);
    model_key(model, TOP_KEY_HOME, 0);
    rows_scroll(list, 2);
    assert_int_equal(list->first, 0);
    model_key(model, TOP_KEY_END, 0);
    rows_scroll(list, 2);
    rows_scroll(list, 10); /* the window grew */
    assert_int_equal(list->first, 0);
    rows_scroll(list, 0); /* there is no window to speak of */
    assert_int_equal(list->first, 3);
}

static void a_tunnel_is_looked_into_and_left(void **state)
{
    struct top_model *model = *state;
    model_key(model, TOP_KEY_ENTER, 0); /* nothing to look into */
    assert_int_equal(model->view, TOP_TUNNELS);
    tell(model, 0, 3, abc, (int[]){0, 0, 0});
    assert_int_equal(model_wanted(model), TOP_TUNNELS);
    model_key(model, TOP_KEY_ENTER, 0);
    assert_string_equal(model->name, "a");
    assert_int_equal(model_wanted(model), TOP_FLOWS);
    tell_flows(model, "a", 0, "[{\"source\":\"x\",\"txBytes\":0},{\"source\":\"y\"}]");
    tell_flows(model, "a", 1000, "[{\"source\":\"x\",\"txBytes\":9},{\"source\":\"y\"}, 5, {}]");
    assert_string_equal(picture(model), "x* y ");
    tell_flows(model, "b", 2000, "[{\"source\":\"z\"}]"); /* an answer that came too late */
    assert_string_equal(picture(model), "x* y ");
    model_key(model, TOP_KEY_OTHER, 0);
    assert_int_equal(model_wanted(model), TOP_SESSIONS);
    model_refused(model, TOP_SESSIONS, "a", "not allowed");
    assert_string_equal(model->refusal, "not allowed");
    model_key(model, TOP_KEY_FLOWS, 0);
    assert_string_equal(model->refusal, "");
    model_key(model, TOP_KEY_BACK, 0);
    assert_string_equal(picture(model), "a* b c tun ");
    assert_null(model->name);
    assert_int_equal(model->lists[TOP_FLOWS].count, 0);
}

static void tun2socks_has_nothing_to_list(void **state)
{
    struct top_model *model = *state;
    tell(model, 0, 1, abc, (int[]){0});
    model_key(model, TOP_KEY_END, 0);
    model_key(model, TOP_KEY_ENTER, 0);
    assert_string_equal(model->name, "tun");
    assert_int_equal(model_wanted(model), TOP_TUNNELS);
}

static void a_name_may_come_before_its_tunnel_and_is_left_with_it(void **state)
{
    struct top_model *model = *state;
    model_enter(model, "a");
    assert_int_equal(model_wanted(model), TOP_TUNNELS);
    tell(model, 0, 1, abc, (int[]){0});
    assert_string_equal(model->name, "a"); /* it may still come */
    tell(model, 1, 2, abc, (int[]){0, 0});
    assert_int_equal(model_wanted(model), TOP_FLOWS);
    tell(model, 2, 1, abc, (int[]){0});
    assert_null(model->name);
    assert_string_equal(model->note, "a was removed");
    model_key(model, TOP_KEY_DOWN, 0);
    assert_string_equal(model->note, "");
}

static void a_paused_picture_stands_still(void **state)
{
    struct top_model *model = *state;
    model_key(model, TOP_KEY_PAUSE, 0);
    tell(model, 0, 1, abc, (int[]){0}); /* the first is shown all the same */
    assert_string_equal(picture(model), "b* tun ");
    tell(model, 1000, 2, abc, (int[]){1000, 0});
    assert_string_equal(picture(model), "b* tun ");
    model_key(model, TOP_KEY_ENTER, 0);
    tell_flows(model, "b", 1000, "[{\"source\":\"x\"}]");
    tell_flows(model, "b", 2000, "[]");
    assert_string_equal(picture(model), "x* ");
    model_key(model, TOP_KEY_BACK, 0);
    model_key(model, TOP_KEY_PAUSE, 0);
    tell(model, 4000, 1, abc, (int[]){4000});
    assert_true(model->lists[TOP_TUNNELS].rows[0].tx_bytes_s == 1000); /* over the whole pause */
}

static void any_key_leaves_the_help_but_q_quits(void **state)
{
    struct top_model *model = *state;
    tell(model, 0, 2, abc, (int[]){0, 0});
    model_key(model, TOP_KEY_HELP, 0);
    assert_true(model->helping);
    model_key(model, TOP_KEY_UNKNOWN, 0);
    assert_false(model->helping);
    model_key(model, TOP_KEY_HELP, 0);
    model_key(model, TOP_KEY_DOWN, 0);
    assert_string_equal(picture(model), "a* b tun "); /* it did nothing else */
    model_key(model, TOP_KEY_HELP, 0);
    model_key(model, TOP_KEY_QUIT, 0);
    assert_true(model->quitting);
}

static void a_daemon_that_is_away_is_told_and_the_rows_stay(void **state)
{
    struct top_model *model = *state;
    model_connected(model);
    tell(model, 0, 1, abc, (int[]){0});
    model_disconnected(model, "/run/some.sock");
    assert_false(model->connected);
    assert_string_equal(model->socket, "/run/some.sock");
    assert_string_equal(picture(model), "b* tun ");
    model_connected(model);
    assert_true(model->connected);
}

static const char *cell(const struct top_row *row, enum top_kind kind, const char *title)
{
    static char text[TOP_SORT_TEXT_SIZE];
    const struct top_table *table = &top_tables[kind];
    for (size_t c = 0; c < table->column_count; c++) {
        if (strcmp(table->columns[c].head.title, title) == 0) {
            table->columns[c].text(row, text);
            return text;
        }
    }
    return "no such column";
}

static void cells_say_what_the_daemon_said(void **state)
{
    (void)state;
    struct top_row row = {.key = "0123456789abcdef", .tx_bytes_s = 1234567, .rx_packets_s = 12.6};
    row.object = parse(
        "{\"role\":\"server\",\"rttMs\":null,\"dropped\":{\"stale\":3,\"queue\":4},"
        "\"connections\":[{\"rttMs\":3.5},{\"rttMs\":1.25},{\"rttMs\":null}],"
        "\"idle\":65,\"external\":\"\"}");
    assert_string_equal(cell(&row, TOP_TUNNELS, "TX"), "1.2 MB/s");
    assert_string_equal(cell(&row, TOP_TUNNELS, "RX PKT/S"), "13");
    assert_string_equal(cell(&row, TOP_TUNNELS, "DROPPED"), "7");
    assert_string_equal(cell(&row, TOP_TUNNELS, "RTT"), "-"); /* of its own: not measured */
    assert_string_equal(cell(&row, TOP_TUNNELS, "NAME"), "-");
    assert_string_equal(cell(&row, TOP_FLOWS, "IDLE"), "1m 5s");
    assert_string_equal(cell(&row, TOP_FLOWS, "EXTERNAL"), "-");
    json_object_del(row.object, "rttMs");
    assert_string_equal(cell(&row, TOP_SESSIONS, "RTT"), "1.25 ms");
    assert_string_equal(cell(&row, TOP_SESSIONS, "CONNS"), "3");
    assert_string_equal(cell(&row, TOP_SESSIONS, "SESSION"), "0123456789ab");
    row.key = "0123456789abcdef0123456789abcdef/17"; /* at a server: session and number */
    assert_string_equal(cell(&row, TOP_FLOWS, "SOURCE"), "0123456789ab/17");
    row.key = "[2001:db8::1]:53";
    assert_string_equal(cell(&row, TOP_FLOWS, "SOURCE"), "[2001:db8::1]:53");
    json_decref(row.object);
}

static void a_table_gives_up_columns_before_it_cuts(void **state)
{
    (void)state;
    static const struct column columns[] = {{"NAME", false, 0}, {"A", true, 2}, {"B", true, 1}};
    struct text_table table;
    size_t widths[TABLE_MAX_COLUMNS] = {0};
    text_table_init(&table, columns, 3);
    text_table_cell(&table, COLOUR_NONE, "a name that is long");
    text_table_cell(&table, COLOUR_NONE, "12");
    text_table_cell(&table, COLOUR_NONE, "345");
    text_table_fit(&table, 0, widths);
    assert_memory_equal(widths, ((size_t[]){19, 2, 3}), 3 * sizeof(size_t));
    text_table_fit(&table, 26, widths);
    assert_memory_equal(widths, ((size_t[]){19, 2, 0}), 3 * sizeof(size_t));
    widths[1] = 6; /* it was wider a second ago */
    text_table_fit(&table, 30, widths);
    assert_memory_equal(widths, ((size_t[]){19, 6, 0}), 3 * sizeof(size_t));
    text_table_fit(&table, 12, widths);
    assert_memory_equal(widths, ((size_t[]){12, 0, 0}), 3 * sizeof(size_t));
    text_table_fini(&table);
}

static void type(struct top_model *model, const char *text)
{
    for (; *text; text++)
        model_key(model, TOP_KEY_UNKNOWN, *text);
}

static void a_filter_shows_the_rows_that_contain_it(void **state)
{
    struct top_model *model = *state;
    const char *const names[] = {"home", "Office", "homer"};
    tell(model, 1000, 3, names, (int[]){1, 2, 3});
    model_key(model, TOP_KEY_FILTER, '/');
    type(model, "HOM");
    assert_string_equal(picture(model), "home* homer ");
    type(model, "q"); /* not the key that quits */
    assert_false(model->quitting);
    assert_string_equal(picture(model), "");
    model_key(model, TOP_KEY_BACK, '\b');
    model_key(model, TOP_KEY_ENTER, 0);
    tell(model, 2000, 3, names, (int[]){1, 2, 300});
    assert_string_equal(picture(model), "home* homer ");
    assert_int_equal(model_list(model)->row_count, 4);
    model_key(model, TOP_KEY_ENTER, 0); /* into the selected one, as ever */
    assert_string_equal(model->name, "home");
    model_key(model, TOP_KEY_BACK, 0);
    assert_null(model->name);
    model_key(model, TOP_KEY_BACK, 0);
    assert_string_equal(picture(model), "Office* home homer tun ");
}

static void what_changes_the_daemon_is_confirmed_first(void **state)
{
    struct top_model *model = *state;
    tell(model, 1000, 3, abc, (int[]){1, 2, 3});
    model_key(model, TOP_KEY_DISABLE, 'd');
    assert_int_equal(model->prompt, TOP_PROMPT_CONFIRM);
    assert_non_null(strstr(model->question, "Disable a?"));
    model_key(model, TOP_KEY_ENTER, 0); /* anything but y is no */
    assert_int_equal(model->prompt, TOP_PROMPT_NONE);
    assert_null(model->wish.action);
    model_key(model, TOP_KEY_DISABLE, 'd');
    model_key(model, TOP_KEY_UNKNOWN, 'y');
    assert_string_equal(model->wish.action, "configureUdpTunnel");
    char *text = json_dumps(model->wish.parameters, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "{\"enabled\":false,\"merge\":true,\"name\":\"a\"}");
    udptun_client_free_text(text);
}

static void a_session_is_closed_where_one_is_selected(void **state)
{
    struct top_model *model = *state;
    tell(model, 1000, 3, abc, (int[]){1, 2, 3});
    model_key(model, TOP_KEY_CLOSE, 'x');
    assert_int_equal(model->prompt, TOP_PROMPT_NONE);
    assert_non_null(strstr(model->note, "select one"));
    model_key(model, TOP_KEY_SESSIONS, 's');
    json_t *sessions = parse("[{\"session\":\"0123\"}]");
    model_objects(model, TOP_SESSIONS, "a", sessions, false, 1000);
    json_decref(sessions);
    model_key(model, TOP_KEY_CLOSE, 'x');
    model_key(model, TOP_KEY_UNKNOWN, 'y');
    assert_string_equal(model->wish.action, "closeSession");
    assert_string_equal(text_of(model->wish.parameters, "session"), "0123");
    assert_string_equal(text_of(model->wish.parameters, "name"), "a");
}

static void the_help_is_scrolled(void **state)
{
    struct top_model *model = *state;
    model_key(model, TOP_KEY_HELP, '?');
    model_key(model, TOP_KEY_DOWN, 0);
    model_key(model, TOP_KEY_DOWN, 0);
    model_key(model, TOP_KEY_UP, 0);
    assert_true(model->helping);
    assert_int_equal(model->help_first, 1);
    model_key(model, TOP_KEY_UNKNOWN, 'z');
    assert_false(model->helping);
    model_key(model, TOP_KEY_HELP, '?');
    assert_int_equal(model->help_first, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(rates_are_what_moved_in_a_second),
        TEST(what_begins_anew_has_no_rate),
        TEST(rows_are_sorted_by_the_column_that_is_chosen),
        TEST(columns_that_are_not_shown_are_not_sorted_by),
        TEST(the_selection_stays_on_its_row),
        TEST(the_top_row_is_a_place_not_a_row),
        TEST(the_selected_row_is_scrolled_into_sight),
        TEST(a_tunnel_is_looked_into_and_left),
        TEST(tun2socks_has_nothing_to_list),
        TEST(a_name_may_come_before_its_tunnel_and_is_left_with_it),
        TEST(a_paused_picture_stands_still),
        TEST(any_key_leaves_the_help_but_q_quits),
        TEST(a_daemon_that_is_away_is_told_and_the_rows_stay),
        TEST(cells_say_what_the_daemon_said),
        TEST(a_table_gives_up_columns_before_it_cuts),
        TEST(a_filter_shows_the_rows_that_contain_it),
        TEST(what_changes_the_daemon_is_confirmed_first),
        TEST(a_session_is_closed_where_one_is_selected),
        TEST(the_help_is_scrolled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
