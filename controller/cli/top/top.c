/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top.c - "top": the loop that joins the daemon (feed.c), the user and the terminal (screen.c) to
 * the model (model.c), which draw.c shows.
 */
#include <string.h>

#include "controller/cli/top/draw.h"
#include "controller/cli/top/feed.h"
#include "controller/cli/top/screen.h"
#include "daemon/platform/wait.h"

static void top_take_size(struct top_model *model)
{
    for (enum top_kind kind = TOP_TUNNELS; kind < TOP_KINDS; kind++)
        rows_forget_widths(&model->lists[kind]);
}

static void take_keys(struct top_model *model)
{
    enum top_key key;
    int character;
    while (!model->quitting && (key = screen_key(&character)) != TOP_KEY_NONE)
        model_key(model, key, character);
}

/* Until the user or a signal ends it. Returns the signal, or 0. */
static int top_run_loop(struct top_model *model, struct feed *feed)
{
    while (!model->quitting) {
        if (feed->changed)
            draw(model);
        feed->changed = false;
        unsigned events = udptun_client_get_events(feed->client);
        struct wait_entry entries[] = {
            {.socket = screen_key_fd(), .wanted = WAIT_READ},
            {.socket = screen_signal_fd(), .wanted = WAIT_READ},
            {.socket = udptun_client_get_fd(feed->client),
             .wanted = (events & UDPTUN_CLIENT_READ ? (unsigned)WAIT_READ : 0) |
                       (events & UDPTUN_CLIENT_WRITE ? (unsigned)WAIT_WRITE : 0)},
        };
        if (wait_for(entries, 3, feed_timeout_ms(feed)))
            return 0;
        if (entries[1].ready) {
            int asked = screen_signal();
            if (asked)
                return asked;
            top_take_size(model);
            feed->changed = true;
        }
        if (entries[0].ready & WAIT_GONE)
            return 0; /* the terminal is */
        if (entries[0].ready) {
            take_keys(model);
            feed->changed = true;
        }
        feed_run(feed);
    }
    return 0;
}

/* What is not allowed now will not be in a second either; a daemon may come. */
static enum exit_status check_daemon(struct cli *cli)
{
    char *reply;
    struct udptun_error err;
    enum exit_status status = ask_quietly(cli, "hello", NULL, 0, NULL, &reply, &err);
    if (status == EXIT_NO_DAEMON)
        status = EXIT_OK;
    else if (status != EXIT_OK && cli->client)
        tell_failure(cli, &err, reply);
    udptun_client_free_text(reply);
    return status;
}

enum exit_status run_top(struct cli *cli)
{
    struct top_model model;
    struct feed feed;
    int asked = 0;
    if (cli->json)
        return complain(EXIT_USAGE, "top: is for people. As JSON: udptunctl -j status -w");
    enum exit_status status = screen_check();
    if (status == EXIT_OK)
        status = check_daemon(cli);
    if (status != EXIT_OK)
        return status;
    model_init(&model);
    status = feed_open(&feed, cli, &model);
    if (status == EXIT_OK) {
        if (cli->arg_count > 0)
            model_enter(&model, cli->args[0]);
        status = screen_open(cli);
        if (status == EXIT_OK)
            asked = top_run_loop(&model, &feed);
        screen_close();
        feed_close(&feed);
    }
    model_fini(&model);
    if (asked)
        screen_raise(asked);
    return status;
}
