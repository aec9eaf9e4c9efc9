/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the process ProxyController: options, signals, the background, exit status.
 *
 * The one place that exits. SIGTERM and SIGINT end the loop, and the routing is put back behind it;
 * SIGHUP opens the log file anew. A service manager is told READY and STOPPING.
 */
#include <ev.h>
#include <signal.h>
#include <stdio.h>

#include "controller/proxy/controller.h"
#include "daemon/platform/memory.h"
#include "daemon/platform/process/background.h"
#include "daemon/platform/process/notify.h"
#include "daemon/service/exit.h"
#include "daemon/service/log.h"
#include "proto/version.h"

struct proxy_process {
    struct ev_loop *loop;
    struct log log;
    struct notify notify;
    struct controller controller;
    ev_signal terminate, interrupt, hangup;
};

static void on_stop_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)events;
    struct proxy_process *p = watcher->data;
    log_write(&p->log, UDPTUN_LOG_INFO, "proxy", "stopping: signal %d", watcher->signum);
    ev_break(loop, EVBREAK_ALL);
}

static void on_hangup(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    struct proxy_process *p = watcher->data;
    log_reopen(&p->log);
}

static void watch_signal(struct proxy_process *p, ev_signal *watcher,
                         void (*callback)(struct ev_loop *, ev_signal *, int), int number)
{
    ev_signal_init(watcher, callback, number);
    watcher->data = p;
    ev_signal_start(p->loop, watcher);
}

static int run(struct proxy_process *p, const struct proxy_options *o)
{
    struct udptun_error err;
    struct background *background = NULL;
    if (log_open(&p->log, o->log_file, &err) < 0) {
        fprintf(stderr, "ProxyController: %s\n", err.message);
        return EXIT_FAILED;
    }
    if (o->daemonize && background_start(&background, &err) < 0) {
        fprintf(stderr, "ProxyController: %s\n", err.message);
        return EXIT_FAILED;
    }
    memory_hide();
    /* After the forks: an epoll descriptor is not to be shared. */
    p->loop = ev_default_loop(EVFLAG_AUTO);
    if (!p->loop) {
        fputs("ProxyController: no event loop could be had\n", stderr);
        return EXIT_FAILED;
    }
    /* Before anything is done that has to be undone. */
    watch_signal(p, &p->terminate, on_stop_signal, SIGTERM);
    watch_signal(p, &p->interrupt, on_stop_signal, SIGINT);
    watch_signal(p, &p->hangup, on_hangup, SIGHUP);
    if (controller_open(&p->controller, p->loop, &p->log, o, &err) < 0) {
        fprintf(stderr, "ProxyController: %s\n", err.message);
        return EXIT_FAILED;
    }
    log_write(&p->log, UDPTUN_LOG_INFO, "proxy", "ProxyController " UDPTUN_VERSION " listens on %s",
              o->socket_path);
    background_ready(background, EXIT_OK);
    notify_open(&p->notify);
    notify_send(&p->notify, "READY=1\nSTATUS=Ready for commands");
    ev_run(p->loop, 0);
    notify_send(&p->notify, "STOPPING=1\nSTATUS=Putting the routing back");
    controller_close(&p->controller);
    notify_close(&p->notify);
    log_write(&p->log, UDPTUN_LOG_INFO, "proxy", "stopped");
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    struct proxy_options o;
    switch (proxy_options_parse(&o, argc, argv)) {
    case OPTIONS_DONE:
        return EXIT_OK;
    case OPTIONS_USAGE:
        return EXIT_USAGE;
    case OPTIONS_RUN:
        break;
    }
    signal(SIGPIPE, SIG_IGN);
    static struct proxy_process process = {.log = {.level = UDPTUN_LOG_INFO},
                                           .notify = {.socket = NO_SOCKET}};
    return run(&process, &o);
}
