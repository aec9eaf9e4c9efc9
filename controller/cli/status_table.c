/* SPDX-License-Identifier: Apache-2.0 */
/* status_table.c - the table of what runs, for status.c and watch.c. */
#include "controller/cli/text_table.h"

#include <string.h>

static const struct column columns[] = {
    {"NAME", false, 0},    {"ROLE", false, 3},   {"STATE", false, 0}, {"LISTEN", false, 0},
    {"FAR END", false, 4}, {"FLOWS", true, 0},   {"RTT", true, 6},    {"TX", true, 0},
    {"RX", true, 0},       {"DROPPED", true, 5}, {"UPTIME", true, 1},
};

/* What a tunnel talks to: a local's server, a server's clients. */
static const char *far_end(const json_t *tunnel, char text[UNIT_TEXT_SIZE])
{
    if (strcmp(text_of(tunnel, "role"), "server") != 0) {
        const char *server = text_of(tunnel, "server");
        return server[0] ? server : "-";
    }
    uint64_t sessions = number_of(tunnel, "sessions");
    char count[UNIT_TEXT_SIZE];
    snprintf(text, UNIT_TEXT_SIZE, "%.20s session%s", unit_count(sessions, count),
             sessions == 1 ? "" : "s");
    return text;
}

/* Bytes altogether, or a second in a table that is kept up to date. */
static const char *traffic(const json_t *tunnel, const char *total, const char *rate,
                           char text[UNIT_TEXT_SIZE])
{
    const json_t *per_second = json_object_get(tunnel, rate);
    if (!per_second)
        return unit_bytes(number_of(tunnel, total), text);
    char bytes[UNIT_TEXT_SIZE];
    snprintf(text, UNIT_TEXT_SIZE, "%.20s/s",
             unit_bytes((uint64_t)json_number_value(per_second), bytes));
    return text;
}

static void add_tunnel(struct text_table *table, const json_t *tunnel)
{
    char text[UNIT_TEXT_SIZE];
    const char *state = text_of(tunnel, "state");
    const char *listen = text_of(tunnel, "listen");
    const json_t *rtt = json_object_get(tunnel, "rttMs");
    uint64_t flows = number_of(tunnel, "flows");
    uint64_t dropped = dropped_of(tunnel);

    text_table_cell(table, COLOUR_BOLD, text_of(tunnel, "name"));
    text_table_cell(table, COLOUR_NONE, text_of(tunnel, "role"));
    text_table_cell(table, colour_of_state(state), state);
    text_table_cell(table, COLOUR_NONE, listen[0] ? listen : "-");
    text_table_cell(table, COLOUR_NONE, far_end(tunnel, text));
    text_table_cell(table, flows ? COLOUR_NONE : COLOUR_DIM, unit_count(flows, text));
    text_table_cell(table, rtt ? COLOUR_NONE : COLOUR_DIM,
                    json_is_number(rtt) ? unit_ms(json_number_value(rtt), text) : "-");
    text_table_cell(table, COLOUR_NONE, traffic(tunnel, "txBytes", "txRate", text));
    text_table_cell(table, COLOUR_NONE, traffic(tunnel, "rxBytes", "rxRate", text));
    text_table_cell(table, dropped ? COLOUR_YELLOW : COLOUR_DIM, unit_count(dropped, text));
    text_table_cell(table, COLOUR_NONE, unit_seconds(number_of(tunnel, "uptime"), text));
}

static void add_tun2socks(struct text_table *table, const json_t *instance)
{
    char text[UNIT_TEXT_SIZE];
    const char *state = text_of(instance, "state");
    const char *device = text_of(instance, "device");
    text_table_cell(table, COLOUR_BOLD, text_of(instance, "name"));
    text_table_cell(table, COLOUR_NONE, "tun2socks");
    text_table_cell(table, colour_of_state(state), state);
    uint64_t flows = number_of(instance, "tcpFlows") + number_of(instance, "udpFlows");
    uint64_t dropped = dropped_of(instance);
    text_table_cell(table, COLOUR_NONE, device[0] ? device : "-");
    text_table_cell(table, COLOUR_DIM, "-");
    text_table_cell(table, flows ? COLOUR_NONE : COLOUR_DIM, unit_count(flows, text));
    text_table_cell(table, COLOUR_DIM, "-");
    text_table_cell(table, COLOUR_NONE, traffic(instance, "txBytes", "txRate", text));
    text_table_cell(table, COLOUR_NONE, traffic(instance, "rxBytes", "rxRate", text));
    text_table_cell(table, dropped ? COLOUR_YELLOW : COLOUR_DIM, unit_count(dropped, text));
    text_table_cell(table, COLOUR_NONE, unit_seconds(number_of(instance, "uptime"), text));
}

static void print_headline(const struct cli *cli, const json_t *status)
{
    char uptime[UNIT_TEXT_SIZE];
    const char *health = text_of(status, "health");
    enum colour colour = colour_of_state(health);
    printf("%sudptund%s ", colour_on(cli->colour, COLOUR_BOLD),
           colour_off(cli->colour, COLOUR_BOLD));
    print_clean(stdout, text_of(status, "version"));
    printf(", up %s, health %s", unit_seconds(number_of(status, "uptime"), uptime),
           colour_on(cli->colour, colour));
    print_clean(stdout, health);
    printf("%s\n\n", colour_off(cli->colour, colour));
}

static void print_errors(const struct cli *cli, const json_t *objects, bool *any)
{
    size_t i;
    json_t *object;
    json_array_foreach(objects, i, object)
    {
        const char *state = text_of(object, "state");
        const char *error = text_of(object, "lastError");
        /* What is healthy again has its last error in `show`. */
        if (!error[0] || colour_of_state(state) == COLOUR_GREEN)
            continue;
        if (!*any)
            putchar('\n');
        *any = true;
        print_clean(stdout, text_of(object, "name"));
        printf(": %s", colour_on(cli->colour, COLOUR_RED));
        print_clean(stdout, error);
        printf("%s\n", colour_off(cli->colour, COLOUR_RED));
    }
}

static void print_first_steps(void)
{
    puts(
        "No tunnels yet. A pair to try, on this machine, with a DNS server as target:\n"
        "\n"
        "  udptunctl server far --listen 127.0.0.1:7000\n"
        "  udptunctl local near --listen udp://127.0.0.1:5300 \\\n"
        "                       --server 127.0.0.1:7000 --target 9.9.9.9:53\n"
        "\n"
        "Then: dig @127.0.0.1 -p 5300 example.org");
}

void print_status(const struct cli *cli, const json_t *status)
{
    const json_t *tunnels = json_object_get(status, "udpTunnels");
    const json_t *instances = json_object_get(status, "tun2socks");
    print_headline(cli, status);
    if (json_array_size(tunnels) + json_array_size(instances) == 0) {
        print_first_steps();
        return;
    }
    struct text_table table;
    text_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    size_t i;
    json_t *object;
    json_array_foreach(tunnels, i, object)
    {
        add_tunnel(&table, object);
    }
    json_array_foreach(instances, i, object)
    {
        add_tun2socks(&table, object);
    }
    text_table_print(&table, cli->colour, cli->width);
    text_table_fini(&table);
    bool any = false;
    print_errors(cli, tunnels, &any);
    print_errors(cli, instances, &any);
}
