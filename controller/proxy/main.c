/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the process ProxyController: options, signals, the background, exit status.
 *
 * The one place that exits. SIGTERM and SIGINT end the loop, and the routing is put back behind it;
 * SIGHUP opens the log file anew. A service manager is told READY and STOPPING.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/proxy/controller.h"
#include "proto/version.h"

enum exit_status { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct proxy_process {
    struct ev_loop *loop;
    struct log log;
    struct controller controller;
    ev_signal terminate, interrupt, hangup;
};

static void on_stop_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)events;
    const struct proxy_process *p = watcher->data;
    log_write(&p->log, LOG_INFO, "stopping: signal %d", watcher->signum);
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

/* Into the background, as daemon(7) has it but for chdir("/"): the socket, the log and udptund's
 * socket may be given relative to where we were started, and are used again later (log_reopen(),
 * proxy_listener_close(), every new connection). The process that was started waits for the word of
 * the one that goes on, and exits with its status. Returns where that word is to be written, or -1.
 */
static int go_to_background(void)
{
    int word[2];
    unsigned char status = EXIT_FAILED;
    if (pipe2(word, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid > 0) {
        close(word[1]);
        while (read(word[0], &status, 1) < 0 && errno == EINTR)
            ;
        _exit(status);
    }
    close(word[0]);
    if (pid < 0 || setsid() < 0)
        return -1;
    pid = fork(); /* one that leads no session never gets a terminal again */
    if (pid > 0)
        _exit(EXIT_OK);
    return pid < 0 ? -1 : word[1];
}

/* Standard error stays for the log where it is a file. */
static void say_ready(int word)
{
    unsigned char status = EXIT_OK;
    struct stat st;
    bool keeps_stderr = fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
    int last = keeps_stderr ? STDOUT_FILENO : STDERR_FILENO;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; null >= 0 && fd <= last; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
    (void)!write(word, &status, 1);
    close(word);
}

/* As sd_notify(3): to a service manager, if there is one. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    int fd =
        len > 1 && len < sizeof to.sun_path ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to, size);
    close(fd);
}

static int run(struct proxy_process *p, const struct proxy_options *o)
{
    struct udptun_error err;
    int word = -1;
    if (log_open(&p->log, o->log_file, &err) < 0) {
        fprintf(stderr, "ProxyController: %s\n", err.message);
        return EXIT_FAILED;
    }
    if (o->daemonize && (word = go_to_background()) < 0) {
        perror("ProxyController: background");
        return EXIT_FAILED;
    }
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
    log_write(&p->log, LOG_INFO, "ProxyController " UDPTUN_VERSION " listens on %s",
              o->socket_path);
    if (word >= 0)
        say_ready(word);
    notify("READY=1\nSTATUS=Ready for commands");
    ev_run(p->loop, 0);
    notify("STOPPING=1\nSTATUS=Putting the routing back");
    controller_close(&p->controller);
    log_write(&p->log, LOG_INFO, "stopped");
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
    static struct proxy_process process;
    return run(&process, &o);
}
