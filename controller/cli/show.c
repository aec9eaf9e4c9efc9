/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show.c - everything about one object. The fields that are known come in an order and with units
 * that read well; whatever else the daemon tells follows as it is, so that nothing is hidden.
 */
#include "controller/cli/text_table.h"

#include <inttypes.h>
#include <string.h>

#define LABEL_WIDTH 11
#define FLAG_WIDTH  21 /* of the longest flag's name */

static const char *const handled[] = {
    "mtu",         "tcp",
    "udp",         "tcpFlows",
    "udpFlows",    "tcpRefused",
    "name",        "role",
    "state",       "lastError",
    "listen",      "server",
    "device",      "uptime",
    "rttMs",       "sessions",
    "flows",       "txPackets",
    "txBytes",     "rxPackets",
    "rxBytes",     "dropped",
    "reconnects",  "resumed",
    "connections", "refusedConnections",
    "fromFile",    "persistent",
};

static void print_label(const struct cli *cli, const char *label)
{
    printf("  %s%-*s%s ", colour_on(cli->colour, COLOUR_DIM), LABEL_WIDTH, label,
           colour_off(cli->colour, COLOUR_DIM));
}

static void show_print_line(const struct cli *cli, const char *label, enum colour colour,
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

static void show_print_time(const struct cli *cli, const json_t *object)
{
    char text[UNIT_TEXT_SIZE];
    const json_t *rtt = json_object_get(object, "rttMs");
    if (json_is_number(rtt))
        show_print_line(cli, "round trip", COLOUR_NONE, unit_ms(json_number_value(rtt), text));
    if (json_object_get(object, "uptime"))
        show_print_line(cli, "up", COLOUR_NONE, unit_seconds(number_of(object, "uptime"), text));
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
    text_table_init(&table, columns, sizeof columns / sizeof columns[0]);
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
        text_table_cell(&table, COLOUR_NONE, text);
        text_table_cell(&table, colour_of_state(state), state);
        text_table_cell(&table, COLOUR_NONE, ms_or_dash(connection, "rttMs", text));
        text_table_cell(&table, COLOUR_NONE, ms_or_dash(connection, "queueMs", text));
        text_table_cell(&table, COLOUR_NONE, unit_bytes(number_of(connection, "txBytes"), text));
        text_table_cell(&table, COLOUR_NONE, unit_bytes(number_of(connection, "rxBytes"), text));
    }
    putchar('\n');
    text_table_print(&table, cli->colour, cli->width);
    text_table_fini(&table);
}

static bool is_handled(const char *field)
{
    for (size_t i = 0; i < sizeof handled / sizeof handled[0]; i++)
        if (strcmp(handled[i], field) == 0)
            return true;
    return false;
}

static void print_value(const struct cli *cli, const char *label, json_t *value);

static void print_rest(const struct cli *cli, json_t *object)
{
    const char *field;
    json_t *value;
    json_object_foreach(object, field, value)
    {
        if (!is_handled(field))
            print_value(cli, field, value);
    }
}

/* "a, b, c" */
static void print_list(const struct cli *cli, const char *label, const json_t *list)
{
    size_t i;
    json_t *item;
    print_label(cli, label);
    json_array_foreach(list, i, item)
    {
        if (i > 0)
            fputs(", ", stdout);
        print_clean(stdout, json_is_string(item) ? json_string_value(item) : "?");
    }
    puts(json_array_size(list) == 0 ? "none" : "");
}

static void print_value(const struct cli *cli, const char *label, json_t *value)
{
    if (json_is_string(value)) {
        show_print_line(cli, label, COLOUR_NONE, json_string_value(value));
    } else if (json_is_boolean(value)) {
        show_print_line(cli, label, COLOUR_NONE, json_is_true(value) ? "yes" : "no");
    } else if (json_is_array(value) && json_is_string(json_array_get(value, 0))) {
        print_list(cli, label, value);
    } else if (json_is_array(value) && json_array_size(value) == 0) {
        print_list(cli, label, value);
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        show_print_line(cli, label, COLOUR_NONE, text ? text : "");
        udptun_client_free_text(text);
    }
}

/* ---- what is configured ------------------------------------------------------------------------
 */

/* "--allow-targets" without its dashes: the label is what a user types to change it. */
static const char *show_label_of(const char *field)
{
    const struct flag *flag = flag_of_field(field);
    return flag ? flag->name : field;
}

/* A secret that is set: the URL without it, where there is one. */
static const char *redacted_text(const json_t *value)
{
    const char *url = text_of(value, "url");
    return url[0] ? url : "set";
}

/* Fields that were given and that the status does not show; the others have their defaults. */
static void print_settings(const struct cli *cli, json_t *settings, const json_t *status)
{
    const char *field;
    json_t *value;
    bool titled = false;
    if (!json_object_get(settings, "key") && !json_object_get(settings, "keyFile") &&
        json_object_get(settings, "role"))
        show_print_line(cli, "key", COLOUR_NONE, "none");
    json_object_foreach(settings, field, value)
    {
        const json_t *shown = json_object_get(status, field);
        if (strcmp(field, "name") == 0 || strcmp(field, "role") == 0 || json_equal(shown, value))
            continue;
        if (!titled)
            printf("\n  %ssettings%s\n", colour_on(cli->colour, COLOUR_BOLD),
                   colour_off(cli->colour, COLOUR_BOLD));
        titled = true;
        char label[64];
        snprintf(label, sizeof label, "%-*s", FLAG_WIDTH, show_label_of(field));
        if (json_is_true(json_object_get(value, "redacted")))
            show_print_line(cli, label, COLOUR_NONE, redacted_text(value));
        else
            print_value(cli, label, value);
    }
}

/* The settings of the object of that name among those that exportConfig returned, or NULL. */
static json_t *settings_of(const json_t *config, const char *list, const char *name)
{
    size_t i;
    json_t *object;
    json_array_foreach(json_object_get(config, list), i, object)
    {
        if (strcmp(text_of(object, "name"), name) == 0)
            return object;
    }
    return NULL;
}

/* A proxy may allow few connections. The tunnel works, but the user should know it. */
static void print_refused(const struct cli *cli, json_t *object, const json_t *settings)
{
    json_t *refused = json_object_get(object, "refusedConnections");
    if (!json_is_integer(refused))
        return;
    size_t up = json_array_size(json_object_get(object, "connections"));
    print_label(cli, "refused");
    printf("%" JSON_INTEGER_FORMAT " connections beside %zu", json_integer_value(refused), up);
    json_t *wanted = json_object_get(settings, "connections");
    if (json_is_integer(wanted))
        printf(" of %" JSON_INTEGER_FORMAT, json_integer_value(wanted) + 1);
    puts("; one is tried ever more rarely");
}

/* Who has configured it, and whether it is there again after a restart; "": an older daemon. */
static const char *origin_of(const json_t *object, const json_t *settings)
{
    if (!json_object_get(object, "fromFile"))
        return "";
    if (json_is_true(json_object_get(object, "fromFile")))
        return "by the config file";
    if (json_is_true(json_object_get(object, "persistent")))
        return "at run time, kept over a restart";
    return json_is_true(json_object_get(settings, "ephemeral"))
               ? "at run time, not kept over a restart (--ephemeral)"
               : "at run time, not kept over a restart";
}

static void print_object(const struct cli *cli, json_t *object, const char *role, json_t *settings)
{
    const char *state = text_of(object, "state");
    const char *error = text_of(object, "lastError");
    bool well = colour_of_state(state) == COLOUR_GREEN;
    printf("%s", colour_on(cli->colour, COLOUR_BOLD));
    print_clean(stdout, text_of(object, "name"));
    printf("%s\n", colour_off(cli->colour, COLOUR_BOLD));
    show_print_line(cli, "role", COLOUR_NONE, role);
    show_print_line(cli, "state", colour_of_state(state), state);
    show_print_line(cli, "last error", well ? COLOUR_NONE : COLOUR_RED, error);
    show_print_line(cli, "listen", COLOUR_NONE, text_of(object, "listen"));
    show_print_line(cli, "server", COLOUR_NONE, text_of(object, "server"));
    show_print_line(cli, "device", COLOUR_NONE, text_of(object, "device"));
    show_print_line(cli, "tcp", COLOUR_NONE, text_of(object, "tcp"));
    show_print_line(cli, "udp", COLOUR_NONE, text_of(object, "udp"));
    print_count(cli, object, "mtu", "mtu");
    show_print_time(cli, object);
    print_count(cli, object, "sessions", "sessions");
    print_count(cli, object, "flows", "flows");
    print_count(cli, object, "tcp flows", "tcpFlows");
    print_count(cli, object, "udp flows", "udpFlows");
    print_count(cli, object, "tcp refused", "tcpRefused");
    print_traffic(cli, object, "sent", "txPackets", "txBytes");
    print_traffic(cli, object, "received", "rxPackets", "rxBytes");
    print_dropped(cli, object);
    print_count(cli, object, "reconnects", "reconnects");
    print_refused(cli, object, settings);
    print_count(cli, object, "resumed", "resumed");
    show_print_line(cli, "configured", COLOUR_NONE, origin_of(object, settings));
    print_rest(cli, object);
    print_settings(cli, settings, object);
    print_connections(cli, json_object_get(object, "connections"));
}

/* What is configured, NULL where the caller's role may not read it. */
static json_t *read_config(struct cli *cli)
{
    json_t *config;
    char *reply;
    struct udptun_error err;
    ask_quietly(cli, "exportConfig", NULL, 0, &config, &reply, &err);
    udptun_client_free_text(reply);
    return config;
}

static void print_objects(struct cli *cli, const json_t *status)
{
    static const char *const lists[] = {"udpTunnels", "tun2socks"};
    json_t *config = read_config(cli);
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++) {
        size_t i;
        json_t *object;
        json_array_foreach(json_object_get(status, lists[l]), i, object)
        {
            const char *role = text_of(object, "role");
            print_object(cli, object, role[0] ? role : "tun2socks",
                         settings_of(config, lists[l], text_of(object, "name")));
        }
    }
    if (!config)
        show_print_line(cli, "settings", COLOUR_DIM, "shown to operators only");
    json_decref(config);
}

enum exit_status run_show(struct cli *cli)
{
    json_t *value;
    enum exit_status status =
        ask(cli, "getStatus", json_pack("{s:s}", "name", cli->args[0]), 0, &value);
    if (status != EXIT_OK)
        return status;
    if (cli->json)
        print_json(cli, value);
    else
        print_objects(cli, value);
    json_decref(value);
    return EXIT_OK;
}
