/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed.h - what "udptunctl top" asks the daemon, and how often.
 *
 * A subscription brings the status: as a snapshot when it begins, then once a second with the
 * topic stats. A change of state or configuration has it asked for at once. Flows and sessions
 * are asked for only while they are looked at, FEED_PAUSE_MS after the answer before, and of the
 * flows no more than FEED_FLOWS_MOST: so a daemon with many is not kept busy by being watched.
 */
#ifndef CONTROLLER_CLI_TOP_FEED_H
#define CONTROLLER_CLI_TOP_FEED_H

#include "controller/cli/top/model.h"

#define FEED_PAUSE_MS   1000
#define FEED_FLOWS_PAGE 1000
#define FEED_FLOWS_MOST 5000

struct feed {
    struct top_model *model;
    udptun_client *client;
    bool changed;    /* the model has, since whoever draws cleared this */
    bool subscribed; /* or being so */
    bool status_wanted;
    bool status_asked;
    int64_t status_due_ms;
    /* The list that is being asked for or was last. */
    enum top_kind kind;
    char *name;
    bool list_asked;
    uint64_t list_call;
    int64_t list_due_ms;
    json_t *flows;        /* of the pages that have come */
    struct top_wish wish; /* being carried out */
};

/* Connects as soon as feed_run() is called. EXIT_OK, or says why not. */
enum exit_status feed_open(struct feed *feed, struct cli *cli, struct top_model *model);
void feed_close(struct feed *feed);

/* Do what is due: connect, read, ask. */
void feed_run(struct feed *feed);

/* For how long nothing is due though the descriptor is silent; -1: for ever. */
int64_t feed_timeout_ms(const struct feed *feed);

int64_t feed_now_ms(void);

#endif
