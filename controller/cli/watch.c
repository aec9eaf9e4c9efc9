/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - "status --watch": the status kept up to date.
 *
 *   on a terminal   the table, drawn again; a daemon that is away is waited for
 *   on a pipe       a line for each object at the start and whenever its state changes
 *   with -j         the whole status as one line, at the start and whenever something changed
 *
 * Events say when to look again; what is printed is always the answer to getStatus, so nothing
 * has to be put together from pieces. Rates and ages need a look each second as well, and a
 * daemon without events is looked at each second only.
 */
#include "controller/cli/cli.h"

#include <string.h>

#include "daemon/platform/clock.h"

#define PERIOD_MS  1000
#define AT_MOST_MS 100 /* between two looks, however many events come */

struct watch {
    json_t *last; /* status of the look before, NULL: there was none */
    int64_t looked_at_ms;
    bool event_came;
    uint64_t asked_on; /* the connection on which events were asked for last */
    bool subscribed;   /* libclient renews it on the next connection */
    bool redraw;
};

static int64_t now_ms(void)
{
    return (int64_t)(clock_us() / 1000);
}

/* ---- events ------------------------------------------------------------------------------------
 */

static void on_watch_event(void *arg, udptun_client *client, const char *json)
{
    (void)client;
    (void)json;
    ((struct watch *)arg)->event_came = true;
}

static void on_subscribed(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    ((struct watch *)arg)->subscribed = reply->error.code == UDPTUN_OK;
}

/* Once on each connection, until the daemon agrees. */
static void ask_for_events(struct cli *cli, struct watch *watch)
{
    uint64_t connection = udptun_client_get_generation(cli->client);
    if (watch->subscribed || connection == watch->asked_on)
        return;
    watch->asked_on = connection;
    udptun_client_subscribe(cli->client, "state,config,stats", false, on_subscribed, watch, NULL,
                            NULL);
}

/* Until an event says that there is something to see, or the period is over. */
static void wait_for_change(struct cli *cli, struct watch *watch)
{
    for (;;) {
        int64_t passed = now_ms() - watch->looked_at_ms;
        int64_t left = (watch->event_came ? AT_MOST_MS : PERIOD_MS) - passed;
        if (left <= 0)
            return;
        udptun_client_wait(cli->client, left);
    }
}

/* ---- what changed ------------------------------------------------------------------------------
 */

static const char *const kinds[] = {"udpTunnels", "tun2socks"};

static json_t *find_named(const json_t *objects, const char *name)
{
    size_t i;
    json_t *object;
    json_array_foreach(objects, i, object)
    {
        if (strcmp(text_of(object, "name"), name) == 0)
            return object;
    }
    return NULL;
}

static void add_rate(json_t *object, const json_t *before, const char *total, const char *rate,
                     double elapsed_s)
{
    uint64_t then = number_of(before, total), now = number_of(object, total);
    double grown = now > then ? (double)(now - then) : 0; /* less: it was made again */
    json_object_set_new(object, rate, json_real(elapsed_s > 0 ? grown / elapsed_s : 0));
}

/* Into each object of `status` what it moved a second since the look before. */
static void add_rates(json_t *status, const struct watch *watch)
{
    double elapsed_s = (double)(now_ms() - watch->looked_at_ms) / 1000;
    for (size_t kind = 0; kind < 2; kind++) {
        size_t i;
        json_t *object;
        json_array_foreach(json_object_get(status, kinds[kind]), i, object)
        {
            const json_t *before =
                find_named(json_object_get(watch->last, kinds[kind]), text_of(object, "name"));
            if (!before)
                before = object; /* just seen: nothing moved yet */
            add_rate(object, before, "txBytes", "txRate", elapsed_s);
            add_rate(object, before, "rxBytes", "rxRate", elapsed_s);
        }
    }
}

static void watch_print_line(const json_t *object, const char *state)
{
    char when[CLOCK_TEXT_SIZE];
    printf("%s ", clock_local_text(clock_wall_ms() / 1000, when));
    print_clean(stdout, text_of(object, "name"));
    putchar(' ');
    print_clean(stdout, state);
    const char *error = text_of(object, "lastError");
    /* What runs well or is gone has no trouble any more. */
    if (error[0] && strcmp(state, "removed") != 0 && colour_of_state(state) != COLOUR_GREEN) {
        fputs(": ", stdout);
        print_clean(stdout, error);
    }
    putchar('\n');
}

static bool watch_same_text(const json_t *one, const json_t *other, const char *field)
{
    return strcmp(text_of(one, field), text_of(other, field)) == 0;
}

static void print_changes(const json_t *status, const json_t *last)
{
    for (size_t kind = 0; kind < 2; kind++) {
        const json_t *now = json_object_get(status, kinds[kind]);
        const json_t *then = json_object_get(last, kinds[kind]);
        size_t i;
        json_t *object;
        json_array_foreach(now, i, object)
        {
            const json_t *before = find_named(then, text_of(object, "name"));
            if (!before || !watch_same_text(object, before, "state") ||
                !watch_same_text(object, before, "lastError"))
                watch_print_line(object, text_of(object, "state"));
        }
        json_array_foreach(then, i, object)
        {
            if (!find_named(now, text_of(object, "name")))
                watch_print_line(object, "removed");
        }
    }
}

/* ---- looking -----------------------------------------------------------------------------------
 */

static void show(struct cli *cli, struct watch *watch, json_t *status)
{
    if (cli->json) {
        /* Without an event only ages have changed. */
        if (!watch->last || watch->event_came || !watch->subscribed)
            print_json(cli, status);
    } else if (watch->redraw) {
        add_rates(status, watch);
        print_status(cli, status);
    } else {
        print_changes(status, watch->last);
    }
    json_decref(watch->last);
    watch->last = json_incref(status);
}

static enum exit_status watch_look(struct cli *cli, struct watch *watch)
{
    json_t *value;
    char *reply;
    struct udptun_error err;
    json_t *parameters = cli->arg_count > 0 ? json_pack("{s:s}", "name", cli->args[0]) : NULL;
    enum exit_status status = ask_quietly(cli, "getStatus", parameters, 0, &value, &reply, &err);
    if (watch->redraw) {
        output_init(cli); /* the window may have another size by now */
        printf("\033[H\033[2J");
    }
    if (status == EXIT_OK) {
        show(cli, watch, value);
    } else if (watch->redraw && status == EXIT_NO_DAEMON) {
        print_clean(stdout, err.message);
        printf("\nWaiting for it; Ctrl-C ends this.\n");
        status = EXIT_OK;
    } else if (cli->client) {
        tell_failure(cli, &err, reply);
    }
    fflush(stdout);
    watch->looked_at_ms = now_ms();
    json_decref(value);
    udptun_client_free_text(reply);
    return status;
}

enum exit_status run_watch(struct cli *cli)
{
    struct watch watch = {
        .redraw = cli->width > 0 && !cli->json,
        .asked_on = UINT64_MAX,
        .looked_at_ms = now_ms(),
    };
    if (!cli_client_with_events(cli, on_watch_event, &watch))
        return EXIT_OTHER;
    if (watch.redraw)
        setvbuf(stdout, NULL, _IOFBF, 1 << 16); /* a picture in one write does not flicker */
    enum exit_status status = EXIT_OK;
    while (status == EXIT_OK && !ferror(stdout)) {
        ask_for_events(cli, &watch);
        status = watch_look(cli, &watch);
        watch.event_came = false;
        if (status == EXIT_OK)
            wait_for_change(cli, &watch);
    }
    json_decref(watch.last);
    return status;
}
