/* SPDX-License-Identifier: Apache-2.0 */
/* lists.c - the sessions and the flows of a tunnel. */
#include "controller/cli/text_table.h"

#include <string.h>

/* Flows asked for in one call: a page of some hundred kilobytes at most. */
#define FLOWS_PAGE 1000

static void lists_add_session(struct text_table *table, const json_t *session)
{
    char text[UNIT_TEXT_SIZE];
    const char *state = text_of(session, "state");
    const char *peer = text_of(session, "peer");
    text_table_cell(table, COLOUR_BOLD, text_of(session, "session"));
    text_table_cell(table, COLOUR_NONE, peer[0] ? peer : "-");
    text_table_cell(table, colour_of_state(state), state);
    snprintf(text, sizeof text, "%zu", json_array_size(json_object_get(session, "connections")));
    text_table_cell(table, COLOUR_NONE, text);
    text_table_cell(table, COLOUR_NONE, unit_count(number_of(session, "flows"), text));
    text_table_cell(table, COLOUR_NONE, unit_bytes(number_of(session, "txBytes"), text));
    text_table_cell(table, COLOUR_NONE, unit_bytes(number_of(session, "rxBytes"), text));
    text_table_cell(table, COLOUR_NONE, unit_seconds(number_of(session, "age"), text));
}

enum exit_status run_sessions(struct cli *cli)
{
    static const struct column columns[] = {
        {"SESSION", false, 0}, {"PEER", false, 0}, {"STATE", false, 0}, {"CONNS", true, 1},
        {"FLOWS", true, 0},    {"TX", true, 0},    {"RX", true, 0},     {"AGE", true, 2},
    };
    json_t *value;
    enum exit_status status =
        ask(cli, "listSessions", json_pack("{s:s}", "name", cli->args[0]), 0, &value);
    if (status != EXIT_OK)
        return status;
    const json_t *sessions = json_object_get(value, "sessions");
    if (cli->json) {
        print_json(cli, value);
    } else if (json_array_size(sessions) == 0) {
        puts("No sessions: nothing is connected through this tunnel.");
    } else {
        struct text_table table;
        text_table_init(&table, columns, sizeof columns / sizeof columns[0]);
        size_t i;
        json_t *session;
        json_array_foreach(sessions, i, session)
        {
            lists_add_session(&table, session);
        }
        text_table_print(&table, cli->colour, cli->width);
        text_table_fini(&table);
    }
    json_decref(value);
    return EXIT_OK;
}

static void lists_add_flow(struct text_table *table, const json_t *flow)
{
    char text[UNIT_TEXT_SIZE];
    const char *external = text_of(flow, "external");
    uint64_t dropped = dropped_of(flow);
    text_table_cell(table, COLOUR_BOLD, text_of(flow, "source"));
    text_table_cell(table, COLOUR_NONE, external[0] ? external : "-");
    text_table_cell(table, COLOUR_NONE, unit_count(number_of(flow, "peers"), text));
    text_table_cell(table, COLOUR_NONE, unit_count(number_of(flow, "txPackets"), text));
    text_table_cell(table, COLOUR_NONE, unit_bytes(number_of(flow, "txBytes"), text));
    text_table_cell(table, COLOUR_NONE, unit_count(number_of(flow, "rxPackets"), text));
    text_table_cell(table, COLOUR_NONE, unit_bytes(number_of(flow, "rxBytes"), text));
    text_table_cell(table, dropped ? COLOUR_YELLOW : COLOUR_DIM, unit_count(dropped, text));
    text_table_cell(table, COLOUR_NONE, unit_seconds(number_of(flow, "idle"), text));
    text_table_cell(table, COLOUR_NONE, unit_seconds(number_of(flow, "age"), text));
}

/* All pages up to `limit` flows (0: no limit) into `flows`. */
static enum exit_status collect_flows(struct cli *cli, json_t *flows, size_t limit, json_t **next)
{
    *next = NULL;
    do {
        size_t page = FLOWS_PAGE;
        if (limit && limit - json_array_size(flows) < page)
            page = limit - json_array_size(flows);
        json_t *parameters = json_pack("{s:s,s:I,s:O*}", "name", cli->args[0], "limit",
                                       (json_int_t)page, "after", *next);
        json_decref(*next);
        json_t *value;
        enum exit_status status = ask(cli, "listFlows", parameters, 0, &value);
        if (status != EXIT_OK) {
            *next = NULL;
            return status;
        }
        json_array_extend(flows, json_object_get(value, "flows"));
        *next = json_incref(json_object_get(value, "next"));
        json_decref(value);
    } while (*next && !(limit && json_array_size(flows) >= limit));
    return EXIT_OK;
}

static void print_flows(const struct cli *cli, const json_t *flows, bool more)
{
    static const struct column columns[] = {
        {"SOURCE", false, 0}, {"EXTERNAL", false, 0}, {"PEERS", true, 3}, {"TX PKTS", true, 4},
        {"TX", true, 0},      {"RX PKTS", true, 5},   {"RX", true, 0},    {"DROPPED", true, 2},
        {"IDLE", true, 0},    {"AGE", true, 1},
    };
    if (json_array_size(flows) == 0) {
        puts("No flows: nothing was sent lately.");
        return;
    }
    struct text_table table;
    text_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    size_t i;
    json_t *flow;
    json_array_foreach(flows, i, flow)
    {
        lists_add_flow(&table, flow);
    }
    text_table_print(&table, cli->colour, cli->width);
    text_table_fini(&table);
    if (more)
        puts("and more");
}

enum exit_status run_flows(struct cli *cli)
{
    int64_t limit = option_integer(cli, "limit", 0);
    if (option_given(cli, "limit") && limit < 1)
        return complain(EXIT_USAGE, "--limit: must be at least 1");
    json_t *flows = json_array();
    json_t *next;
    enum exit_status status = collect_flows(cli, flows, (size_t)limit, &next);
    if (status == EXIT_OK && cli->json) {
        json_t *all = json_pack("{s:O,s:O*}", "flows", flows, "next", next);
        print_json(cli, all);
        json_decref(all);
    } else if (status == EXIT_OK) {
        print_flows(cli, flows, next != NULL);
    }
    json_decref(next);
    json_decref(flows);
    return status;
}
