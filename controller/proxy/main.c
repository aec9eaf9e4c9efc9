/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the process ProxyController: options, signals, the background, exit status.
 *
 * The one place that exits. SIGTERM and SIGINT end the loop, and the routing is put back behind it;
 * SIGHUP opens the log file again. A service manager is told READY and STOPPING.
 */
#include <stdio.h>

#include "controller/proxy/controller.h"
#include "daemon/platform/memory.h"
#include "daemon/platform/process/background.h"
#include "daemon/platform/process/notify.h"
#include "daemon/platform/process/process.h"
#include "daemon/platform/process/signals.h"
#include "daemon/service/exit.h"
#include "daemon/service/log.h"
#include "proto/version.h"

struct proxy_process {
    struct loop loop;
    struct log log;
    struct signals *signals;
    struct notify notify;
    struct controller controller;
};

static void on_stop_signal(void *arg, int number)
{
    struct proxy_process *p = arg;
    log_write(&p->log, UDPTUN_LOG_INFO, "proxy", "stopping: signal %d", number);
    loop_stop(&p->loop);
}

static void on_reload_signal(void *arg)
{
    struct proxy_process *p = arg;
    log_reopen(&p->log);
}

static const struct signals_ops signals_ops = {.stop = on_stop_signal, .reload = on_reload_signal};

static int proxy_fail(const struct udptun_error *err)
{
    fprintf(stderr, "ProxyController: %s\n", err->message);
    return EXIT_FAILED;
}

static int proxy_run(struct proxy_process *p, const struct proxy_options *o,
                     struct background **background)
{
    struct udptun_error err;
    /* Before anything is done that has to be undone. */
    p->signals = signals_new(&p->loop, &signals_ops, p);
    if (!p->signals) {
        error_set(&err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return proxy_fail(&err);
    }
    if (controller_open(&p->controller, &p->loop, &p->log, o, &err) < 0)
        return proxy_fail(&err);
    log_write(&p->log, UDPTUN_LOG_INFO, "proxy", "ProxyController " UDPTUN_VERSION " listens on %s",
              o->socket_path);
    background_ready(*background, EXIT_OK);
    *background = NULL;
    notify_open(&p->notify);
    notify_send(&p->notify, "READY=1\nSTATUS=Ready for commands");
    loop_run(&p->loop);
    notify_send(&p->notify, "STOPPING=1\nSTATUS=Putting the routing back");
    controller_close(&p->controller);
    notify_close(&p->notify);
    log_write(&p->log, UDPTUN_LOG_INFO, "proxy", "stopped");
    return EXIT_OK;
}

static int proxy_main_start(struct proxy_process *p, const struct proxy_options *o)
{
    struct udptun_error err;
    struct background *background = NULL;
    if (log_open(&p->log, o->log_file, &err) < 0)
        return proxy_fail(&err);
    if (o->daemonize && background_start(&background, &err) < 0)
        return proxy_fail(&err);
    memory_hide();
    int status = EXIT_FAILED;
    /* After the forks: an epoll descriptor is not to be shared. */
    if (loop_init_own(&p->loop, NULL, NULL) < 0)
        fputs("ProxyController: cannot create an event loop\n", stderr);
    else
        status = proxy_run(p, o, &background);
    signals_free(p->signals);
    loop_fini(&p->loop);
    background_ready(background, status);
    return status;
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
    process_ignore_broken_pipes();
    static struct proxy_process process = {.log = {.level = UDPTUN_LOG_INFO},
                                           .notify = {.socket = NO_SOCKET}};
    return proxy_main_start(&process, &o);
}
