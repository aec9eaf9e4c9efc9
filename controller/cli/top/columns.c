/* SPDX-License-Identifier: Apache-2.0 */
/* columns.c - the columns of each table of "udptunctl top": what they show, what they sort by. */
#include "controller/cli/top/rows.h"

#include <string.h>

#define SIZE TOP_SORT_TEXT_SIZE

#define SESSION_DIGITS 12

/* A number that may be missing is below every other. */
#define MISSING (-1.0)

/* ---- cells -------------------------------------------------------------------------------------
 */

static void columns_put_text(const json_t *object, const char *field, char *text)
{
    const char *value = text_of(object, field);
    snprintf(text, SIZE, "%s", value[0] ? value : "-");
}

static void put_count(double count, char *text)
{
    unit_count((uint64_t)(count + 0.5), text);
}

static void put_rate(double bytes_s, char *text)
{
    char bytes[UNIT_TEXT_SIZE];
    snprintf(text, SIZE, "%s/s", unit_bytes((uint64_t)(bytes_s + 0.5), bytes));
}

static bool columns_is_tun2socks(const struct top_row *row)
{
    return !json_object_get(row->object, "role");
}

#define TEXT_CELL(name, field)                                                                     \
    static void name(const struct top_row *row, char *text)                                        \
    {                                                                                              \
        columns_put_text(row->object, field, text);                                                \
    }
#define COUNT_CELL(name, what)                                                                     \
    static double name##_number(const struct top_row *row)                                         \
    {                                                                                              \
        return (double)(what);                                                                     \
    }                                                                                              \
    static void name(const struct top_row *row, char *text)                                        \
    {                                                                                              \
        put_count(name##_number(row), text);                                                       \
    }
#define RATE_CELL(name, member)                                                                    \
    static double name##_number(const struct top_row *row)                                         \
    {                                                                                              \
        return row->member;                                                                        \
    }                                                                                              \
    static void name(const struct top_row *row, char *text)                                        \
    {                                                                                              \
        put_rate(row->member, text);                                                               \
    }
#define BYTES_CELL(name, field)                                                                    \
    static double name##_number(const struct top_row *row)                                         \
    {                                                                                              \
        return (double)number_of(row->object, field);                                              \
    }                                                                                              \
    static void name(const struct top_row *row, char *text)                                        \
    {                                                                                              \
        unit_bytes(number_of(row->object, field), text);                                           \
    }
#define TIME_CELL(name, field)                                                                     \
    static double name##_number(const struct top_row *row)                                         \
    {                                                                                              \
        return (double)number_of(row->object, field);                                              \
    }                                                                                              \
    static void name(const struct top_row *row, char *text)                                        \
    {                                                                                              \
        unit_seconds(number_of(row->object, field), text);                                         \
    }

TEXT_CELL(name, "name")
TEXT_CELL(state, "state")
TEXT_CELL(peer, "peer")
TEXT_CELL(external, "external")
RATE_CELL(tx, tx_bytes_s)
RATE_CELL(rx, rx_bytes_s)
COUNT_CELL(tx_packets, row->tx_packets_s)
COUNT_CELL(rx_packets, row->rx_packets_s)
COUNT_CELL(dropped, dropped_of(row->object))
COUNT_CELL(dropping, row->dropped_s)
COUNT_CELL(sessions, number_of(row->object, "sessions"))
COUNT_CELL(peers, number_of(row->object, "peers"))
COUNT_CELL(conns, json_array_size(json_object_get(row->object, "connections")))
COUNT_CELL(flows, number_of(row->object, "flows") + number_of(row->object, "tcpFlows") +
                      number_of(row->object, "udpFlows"))
BYTES_CELL(tx_total, "txBytes")
BYTES_CELL(rx_total, "rxBytes")
TIME_CELL(uptime, "uptime")
TIME_CELL(idle, "idle")
TIME_CELL(age, "age")

static void role(const struct top_row *row, char *text)
{
    snprintf(text, SIZE, "%s",
             columns_is_tun2socks(row) ? "tun2socks" : text_of(row->object, "role"));
}

/* As much of the id as tells one from the other: the other columns are worth more. */
static void session(const struct top_row *row, char *text)
{
    snprintf(text, SIZE, "%.*s", SESSION_DIGITS, row->key);
}

/* At a server the session's id and a number. */
static void source(const struct top_row *row, char *text)
{
    const char *slash = strchr(row->key, '/');
    if (slash)
        snprintf(text, SIZE, "%.*s%s", SESSION_DIGITS, row->key, slash);
    else
        snprintf(text, SIZE, "%s", row->key);
}

/* Its own, or the best of its connections. */
static double rtt_number(const struct top_row *row)
{
    const json_t *own = json_object_get(row->object, "rttMs");
    double best_ms = json_is_number(own) ? json_number_value(own) : MISSING;
    size_t i;
    json_t *connection;
    json_array_foreach(json_object_get(row->object, "connections"), i, connection)
    {
        const json_t *one = json_object_get(connection, "rttMs");
        if (!own && json_is_number(one) && (best_ms < 0 || json_number_value(one) < best_ms))
            best_ms = json_number_value(one);
    }
    return best_ms;
}

static void rtt(const struct top_row *row, char *text)
{
    double ms = rtt_number(row);
    if (ms < 0)
        snprintf(text, SIZE, "-");
    else
        unit_ms(ms, text);
}

/* ---- colours -----------------------------------------------------------------------------------
 */

static enum colour bold(const struct top_row *row)
{
    (void)row;
    return COLOUR_BOLD;
}

static enum colour of_state(const struct top_row *row)
{
    return colour_of_state(text_of(row->object, "state"));
}

static enum colour of_drops(const struct top_row *row)
{
    return row->dropped_s > 0 ? COLOUR_RED : dropped_of(row->object) ? COLOUR_YELLOW : COLOUR_DIM;
}

/* ---- tables ------------------------------------------------------------------------------------
 */

static const struct top_column tunnel_columns[] = {
    {{"NAME", false, 0}, name, NULL, bold},
    {{"ROLE", false, 5}, role, NULL, NULL},
    {{"STATE", false, 0}, state, NULL, of_state},
    {{"SESSIONS", true, 3}, sessions, sessions_number, NULL},
    {{"FLOWS", true, 8}, flows, flows_number, NULL},
    {{"RTT", true, 7}, rtt, rtt_number, NULL},
    {{"TX", true, 0}, tx, tx_number, NULL},
    {{"RX", true, 0}, rx, rx_number, NULL},
    {{"TX PKT/S", true, 1}, tx_packets, tx_packets_number, NULL},
    {{"RX PKT/S", true, 1}, rx_packets, rx_packets_number, NULL},
    {{"DROPPED", true, 6}, dropped, dropped_number, of_drops},
    {{"DROP/S", true, 4}, dropping, dropping_number, of_drops},
    {{"UPTIME", true, 2}, uptime, uptime_number, NULL},
};

static const struct top_column flow_columns[] = {
    {{"SOURCE", false, 0}, source, NULL, bold},
    {{"EXTERNAL", false, 6}, external, NULL, NULL},
    {{"PEERS", true, 4}, peers, peers_number, NULL},
    {{"TX", true, 0}, tx, tx_number, NULL},
    {{"RX", true, 0}, rx, rx_number, NULL},
    {{"TX PKT/S", true, 1}, tx_packets, tx_packets_number, NULL},
    {{"RX PKT/S", true, 1}, rx_packets, rx_packets_number, NULL},
    {{"TX ALL", true, 3}, tx_total, tx_total_number, NULL},
    {{"RX ALL", true, 3}, rx_total, rx_total_number, NULL},
    {{"DROPPED", true, 7}, dropped, dropped_number, of_drops},
    {{"IDLE", true, 5}, idle, idle_number, NULL},
    {{"AGE", true, 2}, age, age_number, NULL},
};

static const struct top_column session_columns[] = {
    {{"SESSION", false, 0}, session, NULL, bold},
    {{"PEER", false, 5}, peer, NULL, NULL},
    {{"STATE", false, 6}, state, NULL, of_state},
    {{"CONNS", true, 2}, conns, conns_number, NULL},
    {{"FLOWS", true, 4}, flows, flows_number, NULL},
    {{"RTT", true, 7}, rtt, rtt_number, NULL},
    {{"TX", true, 0}, tx, tx_number, NULL},
    {{"RX", true, 0}, rx, rx_number, NULL},
    {{"TX ALL", true, 1}, tx_total, tx_total_number, NULL},
    {{"RX ALL", true, 1}, rx_total, rx_total_number, NULL},
    {{"AGE", true, 3}, age, age_number, NULL},
};

#define COLUMNS(table) table, sizeof(table) / sizeof(table)[0]

const struct top_table top_tables[TOP_KINDS] = {
    [TOP_TUNNELS] = {COLUMNS(tunnel_columns), "name", "No tunnels yet.", 0},
    [TOP_FLOWS] = {COLUMNS(flow_columns), "source", "No flows: nothing was sent lately.", 3},
    [TOP_SESSIONS] = {COLUMNS(session_columns), "session", "No sessions.", 6},
};
