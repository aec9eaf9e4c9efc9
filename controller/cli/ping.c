/* SPDX-License-Identifier: Apache-2.0 */
/* ping.c - round trips through the tunnel's own connections, one line each. */
#include "controller/cli/cli.h"

#include <time.h>

#define DEFAULT_COUNT 4
#define PERIOD_MS     200
#define CALL_MOST     100 /* the daemon's limit of one call */

static json_t *parameters_of(const struct cli *cli, int64_t count)
{
    return json_pack("{s:s,s:I}", "name", cli->args[0], "count", (json_int_t)count);
}

/* As JSON, all in one returnValue, though it may take several calls. */
static enum exit_status ping_as_json(struct cli *cli, int64_t count)
{
    json_t *all = json_array();
    enum exit_status status = EXIT_OK;
    for (int64_t left = count; status == EXIT_OK && left > 0; left -= CALL_MOST) {
        int64_t turn = left < CALL_MOST ? left : CALL_MOST;
        json_t *value;
        status = ask(cli, "pingTunnel", parameters_of(cli, turn), (double)turn, &value);
        json_array_extend(all, json_object_get(value, "rttMs"));
        json_decref(value);
    }
    json_t *value = json_pack("{s:o}", "rttMs", all);
    if (status == EXIT_OK)
        print_json(cli, value);
    json_decref(value);
    return status;
}

struct tally {
    int64_t answered;
    double least_ms;
    double most_ms;
    double sum_ms;
};

static void ping_note(struct tally *tally, double ms)
{
    if (tally->answered == 0 || ms < tally->least_ms)
        tally->least_ms = ms;
    if (tally->answered == 0 || ms > tally->most_ms)
        tally->most_ms = ms;
    tally->sum_ms += ms;
    tally->answered++;
}

static enum exit_status ping_one_by_one(struct cli *cli, int64_t count)
{
    struct tally tally = {0};
    char text[3][UNIT_TEXT_SIZE];
    for (int64_t turn = 1; turn <= count; turn++) {
        json_t *value;
        enum exit_status status = ask(cli, "pingTunnel", parameters_of(cli, 1), 0, &value);
        if (status != EXIT_OK)
            return status;
        const json_t *rtt = json_array_get(json_object_get(value, "rttMs"), 0);
        if (json_is_number(rtt)) {
            ping_note(&tally, json_number_value(rtt));
            printf("%lld: %s\n", (long long)turn, unit_ms(json_number_value(rtt), text[0]));
        } else {
            printf("%lld: no answer\n", (long long)turn);
        }
        fflush(stdout);
        json_decref(value);
        struct timespec pause = {.tv_nsec = PERIOD_MS * 1000000L};
        if (turn < count)
            nanosleep(&pause, NULL);
    }
    printf("%lld of %lld answered", (long long)tally.answered, (long long)count);
    if (tally.answered > 0)
        printf(": least %s, mean %s, most %s", unit_ms(tally.least_ms, text[0]),
               unit_ms(tally.sum_ms / (double)tally.answered, text[1]),
               unit_ms(tally.most_ms, text[2]));
    putchar('\n');
    return tally.answered > 0 ? EXIT_OK : EXIT_TIMEOUT;
}

enum exit_status run_ping(struct cli *cli)
{
    int64_t count = option_integer(cli, "count", DEFAULT_COUNT);
    if (count < 1)
        return complain(EXIT_USAGE, "--count: must be at least 1");
    return cli->json ? ping_as_json(cli, count) : ping_one_by_one(cli, count);
}
