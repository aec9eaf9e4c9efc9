/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_statistics.c - the table of statistics agrees with the schema of the status and with
 * docs/metrics.md, and the text made of it is OpenMetrics.
 *
 * With the argument --write the document is written instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/report/metrics.h"
#include "daemon/control/report/statistics.h"
#include "proto/control/codec.h"

static bool is_number(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_UINT32 ||
           field->type == PROTOBUF_C_TYPE_DOUBLE || field->type == PROTOBUF_C_TYPE_MESSAGE;
}

/* The field of a row; `path` "connections.rtt_ms" is one of what is repeated. */
static const ProtobufCFieldDescriptor *field_of(const ProtobufCMessageDescriptor *kind,
                                                const char *path)
{
    char first[CODEC_NAME_SIZE];
    snprintf(first, sizeof first, "%.*s", (int)strcspn(path, "."), path);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(kind, first);
    const char *rest = strchr(path, '.');
    return field && rest ? field_of(field->descriptor, rest + 1) : field;
}

/* Each number of a status has a row, and each row has a field. */
static void compare(const ProtobufCMessageDescriptor *kind, const struct statistic *rows,
                    size_t count)
{
    size_t numbers = 0;
    for (unsigned i = 0; i < kind->n_fields; i++)
        numbers += is_number(&kind->fields[i]);
    for (size_t i = 0; i < count; i++)
        numbers += strchr(rows[i].field, '.') != NULL;
    assert_int_equal(numbers, count);
    for (size_t i = 0; i < count; i++) {
        const ProtobufCFieldDescriptor *field = field_of(kind, rows[i].field);
        if (!field || !is_number(field))
            fail_msg("%s is no number of a status", rows[i].field);
        const char *end = rows[i].metric + strlen(rows[i].metric) - strlen(rows[i].unit);
        assert_string_equal(end, rows[i].unit);
        assert_null(strstr(rows[i].metric, "_total"));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rows[i].metric, rows[k].metric);
    }
}

static void every_number_of_a_status_is_a_statistic(void **state)
{
    (void)state;
    compare(&udptun__control__tunnel_status__descriptor, statistics_of_tunnel,
            statistics_of_tunnel_count);
    compare(&udptun__control__tun2socks_status__descriptor, statistics_of_tun2socks,
            statistics_of_tun2socks_count);
}

static void the_text_has_the_numbers(void **state)
{
    (void)state;
    Udptun__Control__Dropped dropped = UDPTUN__CONTROL__DROPPED__INIT;
    tunnel_status_msg tunnel = UDPTUN__CONTROL__TUNNEL_STATUS__INIT;
    tunnel_status_msg *tunnels[] = {&tunnel};
    status_msg status = UDPTUN__CONTROL__STATUS__INIT;
    char name[] = "t", role[] = "local", now[] = "connecting", version[] = "1.2.3";
    tunnel.name = name;
    tunnel.role = role;
    tunnel.state = now;
    tunnel.has_tx_bytes = 1;
    tunnel.tx_bytes = UINT64_MAX;
    tunnel.has_rtt_ms = 1;
    tunnel.rtt_ms = 1.5;
    Udptun__Control__Connection connection = UDPTUN__CONTROL__CONNECTION__INIT;
    Udptun__Control__Connection unmeasured = UDPTUN__CONTROL__CONNECTION__INIT;
    Udptun__Control__Connection *connections[] = {&unmeasured, &connection};
    unmeasured.has_rtt_ms = connection.has_rtt_ms = connection.has_queue_ms = 1;
    unmeasured.rtt_ms = (double)NAN;
    connection.rtt_ms = 50;
    connection.queue_ms = 2;
    tunnel.connections = connections;
    tunnel.n_connections = 2;
    tunnel.dropped = &dropped;
    dropped.has_no_flow = 1;
    dropped.no_flow = 7;
    status.version = version;
    status.has_uptime = 1;
    status.uptime = 9;
    status.udp_tunnels = tunnels;
    status.n_udp_tunnels = 1;
    static const char *const lines[] = {
        "# TYPE udptun_tunnel_tx_bytes counter\n# UNIT udptun_tunnel_tx_bytes bytes\n# HELP ",
        "\nudptun_tunnel_tx_bytes_total{tunnel=\"t\",role=\"local\"} 18446744073709551615\n",
        "\nudptun_tunnel_rtt_seconds{tunnel=\"t\",role=\"local\"} 0.0015\n",
        "\nudptun_tunnel_connections{tunnel=\"t\",role=\"local\"} 2\n",
        "measured.\nudptun_tunnel_connection_rtt_seconds{tunnel=\"t\",role=\"local\",connection="
        "\"1\"} 0.05\n",
        "\nudptun_tunnel_connection_queue_seconds{tunnel=\"t\",role=\"local\",connection=\"1\"} "
        "0.002\n",
        "\nudptun_tunnel_dropped_packets_total{tunnel=\"t\",role=\"local\",cause=\"noFlow\"} 7\n",
        "\nudptun_tunnel_state{tunnel=\"t\",role=\"local\",udptun_tunnel_state=\"connecting\"} 1\n",
        "\nudptun_tunnel_state{tunnel=\"t\",role=\"local\",udptun_tunnel_state=\"failed\"} 0\n",
        "\nudptund_build_info{version=\"1.2.3\"} 1\n",
        "\nudptund_uptime_seconds 9\n",
    };
    char *text = metrics_text(&status);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (!strstr(text, lines[i]))
            fail_msg("%s is not in %s", lines[i], text);
    }
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
    free(text);
    tunnel.rtt_ms = (double)NAN; /* not measured: no sample */
    text = metrics_text(&status);
    assert_null(strstr(text, "udptun_tunnel_rtt_seconds{"));
    free(text);
}

/* ---- the document ------------------------------------------------------------------------------
 */

static void put_rows(FILE *out, const char *title, const char *labels, const struct statistic *rows,
                     size_t count)
{
    fprintf(out, "\n## %s\n\nLabels: %s.\n\n", title, labels);
    fputs("| metric | type | in the status | meaning |\n| --- | --- | --- | --- |\n", out);
    for (size_t i = 0; i < count; i++) {
        char name[CODEC_NAME_SIZE];
        bool counter = rows[i].type == STATISTIC_COUNTER;
        fprintf(out, "| `%s%s` | %s | `%s` | %s |\n", rows[i].metric, counter ? "_total" : "",
                counter ? "counter" : "gauge", codec_json_name(rows[i].field, name), rows[i].help);
    }
}

static char *document(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    fputs(
        "# Metrics\n\n"
        "`getMetrics` on the command socket, and `udptund --metrics HOST:PORT` or `--metrics\n"
        "unix:PATH` over HTTP at `/metrics`, give OpenMetrics text. Each metric is a number of\n"
        "the status object under a name of its own. tx is towards the far end.\n\n"
        "This page is made from `daemon/control/report/statistics.c`; a test compares them.\n\n"
        "`udptund_build_info` has the version as a label, `udptund_uptime_seconds` is how long\n"
        "the daemon has run. `udptun_tunnel_state` and `udptun_tun2socks_state` are state sets:\n"
        "one sample for each state word, 1 for the present one.\n",
        out);
    put_rows(out, "Tunnels",
             "`tunnel`, the name; `role`; where it says so, `cause`, or `connection`, its place in "
             "the status",
             statistics_of_tunnel, statistics_of_tunnel_count);
    put_rows(out, "tun2socks instances", "`tun2socks`, the name; where it says so, `cause`",
             statistics_of_tun2socks, statistics_of_tun2socks_count);
    fclose(out);
    return text;
}

static void the_document_says_the_same(void **state)
{
    (void)state;
    char *expected = document();
    size_t room = strlen(expected) + 2;
    char *found = calloc(1, room);
    FILE *in = fopen(METRICS_DOCUMENT, "r");
    assert_non_null(in);
    assert_true(fread(found, 1, room - 1, in) > 0);
    fclose(in);
    if (strcmp(found, expected) != 0)
        fail_msg("%s differs: write it by this test's --write", METRICS_DOCUMENT);
    free(found);
    free(expected);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_a_status_is_a_statistic),
        cmocka_unit_test(the_text_has_the_numbers),
        cmocka_unit_test(the_document_says_the_same),
    };
    if (argc > 1 && strcmp(argv[1], "--write") == 0) {
        FILE *out = fopen(METRICS_DOCUMENT, "w");
        char *text = document();
        bool written = out && fputs(text, out) >= 0 && fclose(out) == 0;
        free(text);
        return written ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
