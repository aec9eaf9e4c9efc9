/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show.c - everything about one object. The fields that are known come in an order and with units
 * that read well; whatever else the daemon tells follows as it is, so that nothing is hidden.
 */
#include "controller/cli/text_table.h"

#include <inttypes.h>
#include <string.h>

#define LABEL_WIDTH 12

static const char *const handled[] = {
    "mtu",     "tcp",        "udp",       "tcpFlows",    "udpFlows", "tcpRefused", "name",
    "role",    "state",      "lastError", "listen",      "server",   "device",     "uptime",
    "rttMs",   "sessions",   "flows",     "txPackets",   "txBytes",  "rxPackets",  "rxBytes",
    "dropped", "reconnects", "resumed",   "connections",
};

static void print_label(const struct cli *cli, const char *label)
{
    printf("  %s%-*s%s", colour_on(cli->colour, COLOUR_DIM), LABEL_WIDTH, label,
           colour_off(cli->colour, COLOUR_DIM));
}

static void print_line(const struct cli *cli, const char *label, enum colour colour,
                       const char *text)
{
    if (!text[0])
        return;
    print_label(cli, label);
    fputs(colour_on(cli->colour, colour), stdout);
    print_clean(stdout, text);
    printf("%s\n", colour_off(cli->colour, colour));
}

static void print_traffic(const struct cli *cli, const json_t *object, const char *label,
                          const char *packets, const char *bytes)
{
    if (!json_object_get(object, packets))
        return;
    char count[UNIT_TEXT_SIZE], size[UNIT_TEXT_SIZE];
    print_label(cli, label);
    printf("%s in %s datagrams\n", unit_bytes(number_of(object, bytes), size),
           unit_count(number_of(object, packets), count));
}

/* "12 stale, 3 queue" or "none" */
static void print_dropped(const struct cli *cli, const json_t *object)
{
    json_t *dropped = json_object_get(object, "dropped");
    if (!dropped)
        return;
    print_label(cli, "dropped");
    bool any = false;
    const char *cause;
    json_t *count;
    json_object_foreach(dropped, cause, count)
    {
        uint64_t number = number_of(dropped, cause);
        if (number == 0)
            continue;
        printf("%s%s%" PRIu64 " ", any ? ", " : "", colour_on(cli->colour, COLOUR_YELLOW), number);
        print_clean(stdout, cause);
        fputs(colour_off(cli->colour, COLOUR_YELLOW), stdout);
        any = true;
    }
    puts(any ? "" : "none");
}

static void print_count(const struct cli *cli, const json_t *object, const char *label,
                        const char *field)
{
    if (!json_object_get(object, field))
        return;
    print_label(cli, label);
    printf("%" PRIu64 "\n", number_of(object, field));
}

static void print_time(const struct cli *cli, const json_t *object)
{
    char text[UNIT_TEXT_SIZE];
    const json_t *rtt = json_object_get(object, "rttMs");
    if (json_is_number(rtt))
        print_line(cli, "round trip", COLOUR_NONE, unit_ms(json_number_value(rtt), text));
    if (json_object_get(object, "uptime"))
        print_line(cli, "up", COLOUR_NONE, unit_seconds(number_of(object, "uptime"), text));
}

static const char *ms_or_dash(const json_t *object, const char *field, char text[UNIT_TEXT_SIZE])
{
    const json_t *ms = json_object_get(object, field);
    return json_is_number(ms) ? unit_ms(json_number_value(ms), text) : "-";
}

static void print_connections(const struct cli *cli, const json_t *connections)
{
    static const struct column columns[] = {
        {"CONNECTION", false, 0}, {"STATE", false, 0}, {"RTT", true, 0},
        {"QUEUE", true, 1},       {"TX", true, 0},     {"RX", true, 0},
    };
    if (json_array_size(connections) == 0)
        return;
    struct text_table table;
    table_init(&table, columns, sizeof columns / sizeof columns[0]);
    table.indent = 2;
    size_t i;
    json_t *connection;
    unsigned data = 0;
    json_array_foreach(connections, i, connection)
    {
        char text[UNIT_TEXT_SIZE] = "control";
        if (!json_is_true(json_object_get(connection, "control")))
            snprintf(text, sizeof text, "data %u", ++data);
        const char *state = text_of(connection, "state");
        table_cell(&table, COLOUR_NONE, text);
        table_cell(&table, colour_of_state(state), state);
        table_cell(&table, COLOUR_NONE, ms_or_dash(connection, "rttMs", text));
        table_cell(&table, COLOUR_NONE, ms_or_dash(connection, "queueMs", text));
        table_cell(&table, COLOUR_NONE, unit_bytes(number_of(connection, "txBytes"), text));
        table_cell(&table, COLOUR_NONE, unit_bytes(number_of(connection, "rxBytes"), text));
    }
    putchar('\n');
    table_print(&table, cli->colour, cli->width);
    table_fini(&table);
}

static bool is_handled(const char *field)
{
    for (size_t i = 0; i < sizeof handled / sizeof handled[0]; i++)
        if (strcmp(handled[i], field) == 0)
            return true;
    return false;
}

static void print_rest(const struct cli *cli, json_t *object)
{
    const char *field;
    json_t *value;
    json_object_foreach(object, field, value)
    {
        if (is_handled(field))
            continue;
        if (json_is_string(value)) {
            print_line(cli, field, COLOUR_NONE, json_string_value(value));
            continue;
        }
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        print_line(cli, field, COLOUR_NONE, text ? text : "");
        udptun_client_free_text(text);
    }
}

static void print_object(const struct cli *cli, json_t *object, const char *role)
{
    const char *state = text_of(object, "state");
    const char *error = text_of(object, "lastError");
    bool well = colour_of_state(state) == COLOUR_GREEN;
    printf("%s", colour_on(cli->colour, COLOUR_BOLD));
    print_clean(stdout, text_of(object, "name"));
    printf("%s\n", colour_off(cli->colour, COLOUR_BOLD));
    print_line(cli, "role", COLOUR_NONE, role);
    print_line(cli, "state", colour_of_state(state), state);
    print_line(cli, "last error", well ? COLOUR_NONE : COLOUR_RED, error);
    print_line(cli, "listen", COLOUR_NONE, text_of(object, "listen"));
    print_line(cli, "server", COLOUR_NONE, text_of(object, "server"));
    print_line(cli, "device", COLOUR_NONE, text_of(object, "device"));
    print_line(cli, "tcp", COLOUR_NONE, text_of(object, "tcp"));
    print_line(cli, "udp", COLOUR_NONE, text_of(object, "udp"));
    print_count(cli, object, "mtu", "mtu");
    print_time(cli, object);
    print_count(cli, object, "sessions", "sessions");
    print_count(cli, object, "flows", "flows");
    print_count(cli, object, "tcp flows", "tcpFlows");
    print_count(cli, object, "udp flows", "udpFlows");
    print_count(cli, object, "tcp refused", "tcpRefused");
    print_traffic(cli, object, "sent", "txPackets", "txBytes");
    print_traffic(cli, object, "received", "rxPackets", "rxBytes");
    print_dropped(cli, object);
    print_count(cli, object, "reconnects", "reconnects");
    print_count(cli, object, "resumed", "resumed");
    print_rest(cli, object);
    print_connections(cli, json_object_get(object, "connections"));
}

enum exit_status run_show(struct cli *cli)
{
    json_t *value;
    enum exit_status status =
        ask(cli, "getStatus", json_pack("{s:s}", "name", cli->args[0]), 0, &value);
    if (status != EXIT_OK)
        return status;
    if (cli->json) {
        print_json(cli, value);
    } else {
        size_t i;
        json_t *object;
        json_array_foreach(json_object_get(value, "udpTunnels"), i, object)
        {
            print_object(cli, object, text_of(object, "role"));
        }
        json_array_foreach(json_object_get(value, "tun2socks"), i, object)
        {
            print_object(cli, object, "tun2socks");
        }
    }
    json_decref(value);
    return EXIT_OK;
}
