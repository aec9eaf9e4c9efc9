/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the process udptund: options, signals, limits, exit status.
 *
 * The one place that exits. One libev loop runs the engine and the command socket (daemon/
 * control); SIGTERM, SIGINT and the action `shutdown` end the loop, and everything is taken apart
 * in order behind it.
 */
#include <ev.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/control/change/reload.h"
#include "daemon/control/control.h"
#include "daemon/control/store/config_file.h"
#include "daemon/options.h"
#include "daemon/platform/memory.h"
#include "daemon/service/background.h"
#include "daemon/service/notify.h"

struct udptund_process {
    struct ev_loop *loop;
    struct log log;
    ev_signal terminate, interrupt, hangup;
    struct control *control;
    struct notify notify;
};

static void on_stop_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)events;
    struct udptund_process *p = watcher->data;
    log_write(&p->log, UDPTUN_LOG_INFO, "main", "stopping: signal %d", watcher->signum);
    ev_break(loop, EVBREAK_ALL);
}

static void on_hangup(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    struct udptund_process *p = watcher->data;
    if (p->control)
        control_reload(p->control, NULL);
}

static void on_shutdown(void *arg)
{
    struct udptund_process *p = arg;
    ev_break(p->loop, EVBREAK_ALL);
}

static void on_reloading(void *arg, bool begun)
{
    const struct udptund_process *p = arg;
    if (begun)
        notify_reloading(&p->notify);
    else
        notify_send(&p->notify, "READY=1");
}

static void watch_signal(struct udptund_process *p, ev_signal *watcher,
                         void (*callback)(struct ev_loop *, ev_signal *, int), int number)
{
    ev_signal_init(watcher, callback, number);
    watcher->data = p;
    ev_signal_start(p->loop, watcher);
}

/* As many descriptors as we may have: each connection of a peer is one. */
static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int fail(const struct udptun_error *err, enum daemon_exit status)
{
    fprintf(stderr, "udptund: %s\n", err->message);
    return (int)status;
}

static enum daemon_exit status_of_start(const struct udptun_error *err)
{
    if (err->code == UDPTUN_E_INVALID && strcmp(err->field, "metrics") == 0)
        return EXIT_USAGE; /* of the command line */
    return err->code == UDPTUN_E_BAD_REQUEST || err->code == UDPTUN_E_INVALID ||
                   err->code == UDPTUN_E_UNSUPPORTED
               ? EXIT_BAD_CONFIG
               : EXIT_FAILED;
}

/* From a loop to the end of it. `background` is that of background_start(), or -1. */
static int run(struct udptund_process *p, const struct udptund_options *o, const config_msg *file,
               int background, int socket_fd)
{
    struct udptun_error err = {0};
    const struct control_config config = {.max_buffer_bytes = o->max_buffer_bytes,
                                          .loop = p->loop,
                                          .log = &p->log,
                                          .socket_path = o->socket_path,
                                          .socket_mode = o->socket_mode,
                                          .socket_group = o->socket_group,
                                          .state_dir = o->state_dir,
                                          .config_path = o->config_file,
                                          .file = file,
                                          .metrics = o->metrics,
                                          .socket_fd = socket_fd,
                                          .shutdown = on_shutdown,
                                          .reloading = on_reloading,
                                          .arg = p};
    memory_hide();
    /* Before anybody can know that we run: a signal from then on is orderly. */
    watch_signal(p, &p->terminate, on_stop_signal, SIGTERM);
    watch_signal(p, &p->interrupt, on_stop_signal, SIGINT);
    watch_signal(p, &p->hangup, on_hangup, SIGHUP);
    struct control *control = control_new(&config, &err);
    if (!control)
        return fail(&err, status_of_start(&err));
    p->control = control;
    if (o->pid_file && pid_file_write(o->pid_file, &err) < 0) {
        control_free(control);
        return fail(&err, EXIT_FAILED);
    }
    log_write(&p->log, UDPTUN_LOG_INFO, "main", "udptund %s listens on %s", udptun_version(),
              o->socket_path);
    if (background >= 0)
        background_ready(background, EXIT_OK);
    notify_open(&p->notify);
    notify_watchdog(&p->notify, p->loop);
    notify_send(&p->notify, "READY=1\nSTATUS=Ready for commands");
    ev_run(p->loop, 0);
    notify_send(&p->notify, "STOPPING=1\nSTATUS=Telling the peers");
    p->control = NULL;
    control_free(control);
    notify_close(&p->notify, p->loop);
    if (o->pid_file)
        unlink(o->pid_file);
    log_write(&p->log, UDPTUN_LOG_INFO, "main", "stopped");
    return EXIT_OK;
}

static int start(struct udptund_options *o, const config_msg *file)
{
    struct udptun_error err = {0};
    struct udptund_process p = {
        .log = {.fd = STDERR_FILENO, .level = o->log_level, .json = o->log_json},
        .notify = {.fd = -1}};
    int background = -1, socket_fd = notify_listen_fd();
    if (o->daemonize) {
        background = background_start(&err);
        if (background < 0)
            return fail(&err, EXIT_FAILED);
    }
    /* After the forks: an epoll descriptor is not to be shared. */
    p.loop = ev_default_loop(EVFLAG_AUTO);
    int status = EXIT_FAILED;
    if (p.loop)
        status = run(&p, o, file, background, socket_fd);
    else
        fputs("udptund: no event loop could be had\n", stderr);
    if (background >= 0 && status != EXIT_OK)
        background_ready(background, status);
    return status;
}

int main(int argc, char **argv)
{
    struct udptund_options o;
    switch (udptund_options_parse(&o, argc, argv)) {
    case OPTIONS_DONE:
        return EXIT_OK;
    case OPTIONS_USAGE:
        return EXIT_USAGE;
    case OPTIONS_RUN:
        break;
    }
    /* One arena serves the loop and the worker that writes files: another would only cost memory.
     */
    mallopt(M_ARENA_MAX, 1);
    signal(SIGPIPE, SIG_IGN);
    raise_limits();
    struct udptun_error err = {0};
    config_msg *file = NULL;
    if (o.config_file && config_file_load(o.config_file, &file, &err) < 0)
        return fail(&err, EXIT_BAD_CONFIG);
    char *path = o.config_file ? realpath(o.config_file, NULL) : NULL;
    if (path)
        o.config_file = path; /* read again when the working folder may be another */
    int status = o.check_config ? EXIT_OK : start(&o, file);
    free(path);
    if (file)
        protobuf_c_message_free_unpacked(&file->base, NULL);
    return status;
}
