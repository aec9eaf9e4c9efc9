/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the process udptund: options, signals, limits, exit status.
 *
 * The one place that exits. One loop runs the engine and the command socket (daemon/
 * control); SIGTERM, SIGINT and the action `shutdown` end the loop, and everything is taken apart
 * in order behind it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/change/reload.h"
#include "daemon/control/control.h"
#include "daemon/control/store/config_file.h"
#include "daemon/options.h"
#include "daemon/platform/memory.h"
#include "daemon/platform/process/background.h"
#include "daemon/platform/process/notify.h"
#include "daemon/platform/process/process.h"
#include "daemon/platform/process/signals.h"

struct udptund_process {
    struct loop loop;
    struct log log;
    struct signals *signals;
    struct control *control;
    struct notify notify;
};

static void on_stop_signal(void *arg, int number)
{
    struct udptund_process *p = arg;
    log_write(&p->log, UDPTUN_LOG_INFO, "main", "stopping: signal %d", number);
    loop_stop(&p->loop);
}

static void on_reload_signal(void *arg)
{
    const struct udptund_process *p = arg;
    if (p->control)
        control_reload(p->control, NULL);
}

static const struct signals_ops signals_ops = {.stop = on_stop_signal, .reload = on_reload_signal};

static void on_turn(void *arg)
{
    const struct udptund_process *p = arg;
    if (p->control)
        control_turn(p->control);
}

static void on_shutdown(void *arg)
{
    struct udptund_process *p = arg;
    loop_stop(&p->loop);
}

static void on_reloading(void *arg, bool begun)
{
    const struct udptund_process *p = arg;
    if (begun)
        notify_reloading(&p->notify);
    else
        notify_send(&p->notify, "READY=1");
}

static int udptund_complain(const struct udptun_error *err, enum daemon_exit status)
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

/* From a loop to the end of it. `*background` is told, and NULL then. */
static int udptund_run(struct udptund_process *p, const struct udptund_options *o,
                       const config_msg *file, struct background **background,
                       udptun_socket listening)
{
    struct udptun_error err = {0};
    const struct control_config config = {.max_buffer_bytes = o->max_buffer_bytes,
                                          .loop = &p->loop,
                                          .log = &p->log,
                                          .socket_path = o->socket_path,
                                          .socket_mode = o->socket_mode,
                                          .socket_group = o->socket_group,
                                          .state_dir = o->state_dir,
                                          .config_path = o->config_file,
                                          .file = file,
                                          .metrics = o->metrics,
                                          .listening = listening,
                                          .shutdown = on_shutdown,
                                          .reloading = on_reloading,
                                          .arg = p};
    memory_hide();
    /* Before anybody can know that we run: a signal from then on is orderly. */
    p->signals = signals_new(&p->loop, &signals_ops, p);
    if (!p->signals) {
        error_set(&err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return udptund_complain(&err, EXIT_FAILED);
    }
    struct control *control = control_new(&config, &err);
    if (!control)
        return udptund_complain(&err, status_of_start(&err));
    p->control = control;
    if (o->pid_file && pid_file_write(o->pid_file, &err) < 0) {
        control_free(control);
        return udptund_complain(&err, EXIT_FAILED);
    }
    log_write(&p->log, UDPTUN_LOG_INFO, "main", "udptund %s listens on %s", udptun_version(),
              o->socket_path);
    background_ready(*background, EXIT_OK);
    *background = NULL;
    notify_open(&p->notify);
    notify_watchdog(&p->notify, &p->loop);
    notify_send(&p->notify, "READY=1\nSTATUS=Ready for commands");
    loop_run(&p->loop);
    notify_send(&p->notify, "STOPPING=1\nSTATUS=Telling the peers");
    p->control = NULL;
    control_free(control);
    notify_close(&p->notify);
    if (o->pid_file)
        pid_file_remove(o->pid_file);
    log_write(&p->log, UDPTUN_LOG_INFO, "main", "stopped");
    return EXIT_OK;
}

static int udptund_start(struct udptund_options *o, const config_msg *file)
{
    struct udptun_error err = {0};
    struct udptund_process p = {.log = {.level = o->log_level, .json = o->log_json},
                                .notify = {.socket = NO_SOCKET}};
    struct background *background = NULL;
    udptun_socket listening = notify_listening();
    if (o->daemonize && background_start(&background, &err) < 0)
        return udptund_complain(&err, EXIT_FAILED);
    int status = EXIT_FAILED;
    /* After the forks: an epoll descriptor is not to be shared. */
    if (loop_init_own(&p.loop, on_turn, &p) < 0) {
        fputs("udptund: cannot create an event loop\n", stderr);
    } else {
        loop_turn_when_asked(&p.loop); /* the engine has the traffic, by a turn of its own */
        status = udptund_run(&p, o, file, &background, listening);
    }
    signals_free(p.signals);
    loop_fini(&p.loop);
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
    process_share_arena();
    process_ignore_broken_pipes();
    process_raise_limits();
    struct udptun_error err = {0};
    config_msg *file = NULL;
    if (o.config_file && config_file_load(o.config_file, &file, &err) < 0)
        return udptund_complain(&err, EXIT_BAD_CONFIG);
    char *path = o.config_file ? process_absolute_path(o.config_file) : NULL;
    if (path)
        o.config_file = path; /* read again when the working folder may be another */
    int status = o.check_config ? EXIT_OK : udptund_start(&o, file);
    free(path);
    if (file)
        protobuf_c_message_free_unpacked(&file->base, NULL);
    return status;
}
