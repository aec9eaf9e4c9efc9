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
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/net/line_direction.h"

#define TCP_FIN       0x01
#define TCP_RST       0x04
#define COMMAND_SIZE  128
#define SIDES         2 /* 0: A to B, 1: B to A */
#define MAX_DELAY_MS  60000
#define MAX_TIME_S    86400
#define MAX_RATE_MBIT 100000

struct line {
    struct direction sides[SIDES];
    bool paused;
    char command[COMMAND_SIZE]; /* what has come of the line that is being typed */
    size_t command_size;
};

struct options {
    const char *space[SIDES], *address[SIDES], *device;
    uint64_t seed;
};

static uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ---- settings ------------------------------------------------------------------------------ */

/* A number from 0 to `most` that fills `text` but for `unit`. */
static bool parse_number(const char *text, const char *unit, double most, double *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtod(text, &end);
    return end != text && errno == 0 && isfinite(*out) && *out >= 0 && *out <= most &&
           strcmp(end, unit) == 0;
}

static bool set_delay(struct direction *d, const char *text)
{
    double ms = 0;
    bool ok = parse_number(text, "", MAX_DELAY_MS, &ms);
    d->delay_ns = ok ? (uint64_t)(ms * 1e6) : d->delay_ns;
    return ok;
}

static bool set_jitter(struct direction *d, const char *text)
{
    double ms = 0;
    bool ok = parse_number(text, "", MAX_DELAY_MS, &ms);
    d->jitter_ns = ok ? (uint64_t)(ms * 1e6) : d->jitter_ns;
    return ok;
}

static bool set_loss(struct direction *d, const char *text)
{
    double percent = 0;
    bool ok = parse_number(text, "", 100, &percent);
    d->loss = ok ? percent / 100 : d->loss;
    return ok;
}

static bool set_rate(struct direction *d, const char *text)
{
    double mbit = 0;
    bool ok = parse_number(text, "", MAX_RATE_MBIT, &mbit);
    d->rate_bps = ok ? mbit * 1e6 : d->rate_bps;
    return ok;
}

static bool set_queue(struct direction *d, const char *text)
{
    double value = 0;
    if (parse_number(text, "ms", MAX_DELAY_MS, &value)) {
        d->queue_ns = value * 1e6;
        d->queue_bytes = 0;
        return true;
    }
    if (parse_number(text, "KiB", 1 << 20, &value) && value > 0) {
        d->queue_bytes = value * 1024;
        return true;
    }
    return false;
}

static bool set_cut(struct direction *d, const char *text)
{
    double seconds = 0;
    bool ok = parse_number(text, "", MAX_TIME_S, &seconds);
    d->cut_until_ns = ok ? clock_now_ns() + (uint64_t)(seconds * 1e9) : d->cut_until_ns;
    return ok;
}

static bool set_flag(struct direction *d, uint8_t flag, const char *text)
{
    bool on = strcmp(text, "on") == 0;
    if (!on && strcmp(text, "off") != 0) {
        return false;
    }
    d->drop_tcp_flags = (uint8_t)(on ? d->drop_tcp_flags | flag : d->drop_tcp_flags & ~flag);
    return true;
}

static bool set_drop_fin(struct direction *d, const char *text)
{
    return set_flag(d, TCP_FIN, text);
}

static bool set_drop_rst(struct direction *d, const char *text)
{
    return set_flag(d, TCP_RST, text);
}

/* Every setting of a direction; those that make sense at the start are options as well. */
static const struct setting {
    const char *name, *value, *meaning;
    bool (*set)(struct direction *d, const char *text);
} settings[] = {
    {"delay", "MS", "delay one way (0)", set_delay},
    {"jitter", "MS", "up to so much more delay, in order (0)", set_jitter},
    {"loss", "PERCENT", "packets lost by chance (0)", set_loss},
    {"rate", "MBIT", "megabits a second of IP packets, 0 without limit (0)", set_rate},
    {"queue", "SIZE", "what may wait for the rate: 200ms, 64KiB (1000ms)", set_queue},
    {"cut", "SECONDS", "drop everything for so long, under way included", set_cut},
    {"drop fin", "on|off", "drop TCP segments with FIN", set_drop_fin},
    {"drop rst", "on|off", "drop TCP segments with RST", set_drop_rst},
};
enum { SETTING_COUNT = sizeof(settings) / sizeof(settings[0]), OPTION_COUNT = 5 };

/* `text` is one value for both directions, or two with a slash between. */
static bool apply(struct line *l, const struct setting *s, const char *text)
{
    char first[COMMAND_SIZE];
    const char *slash = strchr(text, '/');
    size_t first_size = slash ? (size_t)(slash - text) : strlen(text);
    const char *values[SIDES] = {first, slash ? slash + 1 : first};

    if (first_size < sizeof(first)) {
        memcpy(first, text, first_size);
        first[first_size] = 0;
        /* Both or neither: the second value is tried on a copy. */
        struct direction scratch = l->sides[1];
        if (s->set(&scratch, values[1]) && s->set(&l->sides[0], values[0])) {
            return s->set(&l->sides[1], values[1]);
        }
    }
    fprintf(stderr, "line: %s: '%s' is not %s or two of that with '/' between\n", s->name, text,
            s->value);
    return false;
}

/* ---- commands ------------------------------------------------------------------------------ */

static void print_stats(const struct line *l)
{
    static const char *const names[SIDES] = {"a-to-b", "b-to-a"};
    for (int i = 0; i < SIDES; i++) {
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
    for (int i = 0; i < SETTING_COUNT; i++) {
        size_t size = strlen(settings[i].name);
        if (strncmp(command, settings[i].name, size) == 0 && command[size] == ' ') {
            puts(apply(l, &settings[i], command + size + 1) ? "ok" : "error");
            return;
        }
    }
    fprintf(stderr, "line: '%s': no such command (see --help)\n", command);
    puts("error");
}

/* false: standard input has ended, which ends nothing else. */
static bool read_commands(struct line *l)
{
    ssize_t n = read(STDIN_FILENO, l->command + l->command_size,
                     sizeof(l->command) - 1 - l->command_size);
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
        uint64_t now_ns = clock_now_ns();
        uint64_t wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                                .tv_nsec = (long)(wait_ns % 1000000000)};
        if (ppoll(polled, 4, due_ns == UINT64_MAX ? NULL : &wait, NULL) < 0 && errno != EINTR) {
            perror("line: ppoll");
            return 1;
        }
        now_ns = clock_now_ns();
        for (int i = 0; i < SIDES && !l->paused; i++) {
            direction_pass(&l->sides[i], now_ns);
        }
        for (int i = 0; i < SIDES; i++) {
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
    fputs("usage: line --a NAMESPACE --b NAMESPACE [OPTION ...]\n\n"
          "A line with delay, loss and rate between two network namespaces (names in /run/netns,\n"
          "or paths), as a TUN device in each. Needs root. Runs until it is interrupted.\n\n"
          "  --device NAME       both devices' name (line0)\n"
          "  --a-address CIDR    IPv4 address of the device in A (none)\n"
          "  --b-address CIDR    that of the device in B (none)\n"
          "  --seed N            of what is left to chance (1)\n",
          out);
    for (int i = 0; i < OPTION_COUNT; i++) {
        fprintf(out, "  --%-6s %-10s %s\n", settings[i].name, settings[i].value,
                settings[i].meaning);
    }
    fputs("\nCommands on standard input while it runs, answered with 'ok' or 'error':\n\n", out);
    for (int i = 0; i < SETTING_COUNT; i++) {
        fprintf(out, "  %-8s %-10s %s\n", settings[i].name, settings[i].value,
                settings[i].meaning);
    }
    fputs("  pause               hold everything back; packets still enter\n"
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
    struct option longs[OPTION_COUNT + 8] = {
        {"a", 1, NULL, 'a'},         {"b", 1, NULL, 'b'},         {"device", 1, NULL, 'd'},
        {"a-address", 1, NULL, 'A'}, {"b-address", 1, NULL, 'B'}, {"seed", 1, NULL, 's'},
        {"help", 0, NULL, 'h'},
    };
    for (int i = 0; i < OPTION_COUNT; i++) {
        longs[7 + i] = (struct option){settings[i].name, 1, NULL, 256 + i};
    }
    longs[7 + OPTION_COUNT] = (struct option){0};
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
        } else if (c >= 256 && !apply(l, &settings[c - 256], optarg)) {
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
    static struct line l;
    struct line wanted;
    int fds[SIDES] = {-1, -1}, status = 1;

    for (int i = 0; i < SIDES; i++) {
        l.sides[i] = (struct direction){.queue_ns = 1e9};
    }
    status = parse_options(argc, argv, &o, &l);
    if (status != 0) {
        return status == 1 ? 0 : status;
    }
    wanted = l;
    status = 1;
    for (int i = 0; i < SIDES; i++) {
        fds[i] = line_tun_open(o.space[i], o.device, o.address[i]);
    }
    if (fds[0] < 0 || fds[1] < 0) {
        goto done;
    }
    (void)wanted;
done:
    return status;
}
