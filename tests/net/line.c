/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line.c - a delay, loss and rate line between two network namespaces
 *
 *     namespace A                                            namespace B
 *    +-----------+   device +--------------------+ device   +-----------+
 *    |  programs |──────────|  line: A ─▶ B, ◀─  |──────────|  programs |
 *    +-----------+   line0  +--------------------+  line0   +-----------+
 *
 * A TUN device in either namespace, and this process between them, which stays in its own. What
 * one side routes into its device comes out of the other's after the delay, unless it is lost.
 * The settings of a line are those of its two directions (line_direction.c); every value is given
 * once for both, or as A-TO-B/B-TO-A. They are options at the start and commands on standard input
 * while it runs; `cut`, `drop`, `pause` and `stats` are commands only.
 *
 * Time is the monotonic clock. One thread sleeps until the next packet is due, without the slack
 * that the kernel allows itself otherwise, and takes packets in batches.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tests/net/line_settings.h"

#define COMMAND_SIZE 128

struct line {
    struct direction sides[LINE_SIDES];
    bool paused;
    char command[COMMAND_SIZE]; /* what has come of the line that is being typed */
    size_t command_size;
};

struct options {
    const char *space[LINE_SIDES], *address[LINE_SIDES], *device;
    uint64_t seed;
};

/* ---- commands ------------------------------------------------------------------------------ */

static void print_stats(const struct line *l)
{
    static const char *const names[LINE_SIDES] = {"a-to-b", "b-to-a"};
    for (int i = 0; i < LINE_SIDES; i++) {
        const struct direction *d = &l->sides[i];
        const struct direction_counts *c = &d->counts;
        printf("%s passed=%" PRIu64 " bytes=%" PRIu64 " lost=%" PRIu64 " overflow=%" PRIu64
               " cut=%" PRIu64 " filtered=%" PRIu64 " underway=%u\n",
               names[i], c->passed, c->passed_bytes, c->lost, c->overflow, c->cut, c->filtered,
               d->tail - d->head);
    }
}

static void obey(struct line *l, const char *command)
{
    if (command[strspn(command, " \t\r")] == 0) {
        return;
    }
    if (strcmp(command, "pause") == 0 || strcmp(command, "resume") == 0) {
        l->paused = strcmp(command, "pause") == 0;
        puts("ok");
        return;
    }
    if (strcmp(command, "stats") == 0) {
        print_stats(l);
        return;
    }
    for (int i = 0; i < line_setting_count; i++) {
        size_t size = strlen(line_settings[i].name);
        if (strncmp(command, line_settings[i].name, size) == 0 && command[size] == ' ') {
            puts(line_apply(l->sides, &line_settings[i], command + size + 1) ? "ok" : "error");
            return;
        }
    }
    fprintf(stderr, "line: '%s': no such command (see --help)\n", command);
    puts("error");
}

/* false: standard input has ended, which ends nothing else. */
static bool read_commands(struct line *l)
{
    ssize_t n =
        read(STDIN_FILENO, l->command + l->command_size, sizeof(l->command) - 1 - l->command_size);
    if (n <= 0) {
        return n < 0 && (errno == EINTR || errno == EAGAIN);
    }
    l->command_size += (size_t)n;
    l->command[l->command_size] = 0;
    char *start = l->command;
    for (char *end; (end = strchr(start, '\n')) != NULL; start = end + 1) {
        *end = 0;
        obey(l, start);
    }
    l->command_size -= (size_t)(start - l->command);
    memmove(l->command, start, l->command_size);
    if (l->command_size == sizeof(l->command) - 1) {
        fputs("line: command too long\n", stderr);
        l->command_size = 0;
    }
    return true;
}

/* ---- running ------------------------------------------------------------------------------- */

static uint64_t next_due_ns(const struct line *l)
{
    uint64_t a = direction_next_ns(&l->sides[0]);
    uint64_t b = direction_next_ns(&l->sides[1]);
    if (l->paused) {
        return UINT64_MAX;
    }
    return a < b ? a : b;
}

/* Until a signal ends it; 0, or 1 after a message. */
static int run(struct line *l, int signals)
{
    struct pollfd polled[] = {{.fd = l->sides[0].from, .events = POLLIN},
                              {.fd = l->sides[1].from, .events = POLLIN},
                              {.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = signals, .events = POLLIN}};
    for (;;) {
        uint64_t due_ns = next_due_ns(l);
        uint64_t now_ns = line_now_ns();
        uint64_t wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                                .tv_nsec = (long)(wait_ns % 1000000000)};
        if (ppoll(polled, 4, due_ns == UINT64_MAX ? NULL : &wait, NULL) < 0 && errno != EINTR) {
            perror("line: ppoll");
            return 1;
        }
        now_ns = line_now_ns();
        for (int i = 0; i < LINE_SIDES && !l->paused; i++) {
            direction_pass(&l->sides[i], now_ns);
        }
        for (int i = 0; i < LINE_SIDES; i++) {
            if (polled[i].revents & POLLIN) {
                direction_take(&l->sides[i], now_ns);
            } else if (polled[i].revents) {
                fprintf(stderr, "line: the device in namespace %c is gone\n", 'A' + i);
                return 1;
            }
        }
        if (polled[2].revents && !read_commands(l)) {
            polled[2].fd = -1;
        }
        if (polled[3].revents) {
            print_stats(l);
            return 0;
        }
    }
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* ---- set-up -------------------------------------------------------------------------------- */

static void help(FILE *out)
{
    fputs(
        "usage: line --a NAMESPACE --b NAMESPACE [OPTION ...]\n\n"
        "A line with delay, loss and rate between two network namespaces (names in /run/netns,\n"
        "or paths), as a TUN device in each. Needs root. Runs until it is interrupted.\n\n"
        "  --device NAME       both devices' name (line0)\n"
        "  --a-address CIDR    IPv4 address of the device in A (none)\n"
        "  --b-address CIDR    that of the device in B (none)\n"
        "  --seed N            of what is left to chance (1)\n",
        out);
    for (int i = 0; i < LINE_OPTIONS; i++) {
        fprintf(out, "  --%-6s %-10s %s\n", line_settings[i].name, line_settings[i].value,
                line_settings[i].meaning);
    }
    fputs("\nCommands on standard input while it runs, answered with 'ok' or 'error':\n\n", out);
    for (int i = 0; i < line_setting_count; i++) {
        fprintf(out, "  %-8s %-10s %s\n", line_settings[i].name, line_settings[i].value,
                line_settings[i].meaning);
    }
    fputs(
        "  pause               hold everything back; packets still enter\n"
        "  resume              pass on what is due by now, and go on\n"
        "  stats               what passed and what did not, a line for each direction\n\n"
        "A value holds for both directions; 10/40 is 10 from A to B and 40 from B to A.\n",
        out);
}

static bool parse_seed(const char *text, uint64_t *seed)
{
    char *end = NULL;
    errno = 0;
    *seed = strtoull(text, &end, 0);
    return *text && *end == 0 && errno == 0;
}

/* 0: go on; 1: done (help); 2: usage. */
static int parse_options(int argc, char **argv, struct options *o, struct line *l)
{
    struct option longs[LINE_OPTIONS + 8] = {
        {"a", 1, NULL, 'a'},         {"b", 1, NULL, 'b'},         {"device", 1, NULL, 'd'},
        {"a-address", 1, NULL, 'A'}, {"b-address", 1, NULL, 'B'}, {"seed", 1, NULL, 's'},
        {"help", 0, NULL, 'h'},
    };
    for (int i = 0; i < LINE_OPTIONS; i++) {
        longs[7 + i] = (struct option){line_settings[i].name, 1, NULL, 256 + i};
    }
    longs[7 + LINE_OPTIONS] = (struct option){0};
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        if (c == 'a' || c == 'b') {
            o->space[c - 'a'] = optarg;
        } else if (c == 'A' || c == 'B') {
            o->address[c - 'A'] = optarg;
        } else if (c == 'd') {
            o->device = optarg;
        } else if (c == 'h') {
            help(stdout);
            return 1;
        } else if (c == 's' && !parse_seed(optarg, &o->seed)) {
            fprintf(stderr, "line: --seed: '%s' is not a number\n", optarg);
            return 2;
        } else if (c >= 256 && !line_apply(l->sides, &line_settings[c - 256], optarg)) {
            return 2;
        } else if (c == '?') {
            return 2;
        }
    }
    if (optind < argc || !o->space[0] || !o->space[1]) {
        fprintf(stderr, "line: %s%s (see --help)\n",
                optind < argc ? "unexpected " : "needs --a and --b",
                optind < argc ? argv[optind] : "");
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.device = "line0", .seed = 1};
    struct line l = {.sides = {{.queue_ns = LINE_QUEUE_NS}, {.queue_ns = LINE_QUEUE_NS}}};
    int fds[LINE_SIDES] = {-1, -1};
    int status = parse_options(argc, argv, &o, &l);

    if (status != 0) {
        return status == 1 ? 0 : status;
    }
    for (int i = 0; i < LINE_SIDES; i++) {
        fds[i] = line_tun_open(o.space[i], o.device, o.address[i]);
        if (fds[i] < 0) {
            return 1;
        }
    }
    for (int i = 0; i < LINE_SIDES; i++) {
        if (!direction_start(&l.sides[i], fds[i], fds[!i], o.seed + (uint64_t)i)) {
            fputs("line: no memory\n", stderr);
            return 1;
        }
    }
    /* Late packets are jitter that nobody asked for. */
    prctl(PR_SET_TIMERSLACK, 1);
    (void)setpriority(PRIO_PROCESS, 0, -15);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready: %s in %s and %s\n", o.device, o.space[0], o.space[1]);
    status = run(&l, open_signals());
    for (int i = 0; i < LINE_SIDES; i++) {
        direction_stop(&l.sides[i]);
        close(fds[i]);
    }
    return status;
}
