/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matrix.c - what a load gets on many paths: medians over seeds, beside limits.
 *
 * A cell is a path and a load. Each run of it has an idle part with voice alone, a start that is
 * not measured, and a measured part; in some cells the path changes in the middle of that. Voice
 * is judged by how much later it is than in the idle part of the same run. A median that misses
 * its limit is bold in the table, which is Markdown, and listed under it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/load.h"

enum { MOST_SEEDS = 99, MOST_CELLS = 128 };
#define CONNECT_US (3 * SECOND_US)
#define IDLE_US    (4 * SECOND_US)
#define STEP_US    (8 * SECOND_US) /* of a changed path */
#define WINDOW_US  (SECOND_US / 4) /* in which the line counts as used again, twice */
#define NOT_BACK_S 99

enum change { CHANGE_NONE, CHANGE_DELAY, CHANGE_RATE };

/* X(symbol, heading, decimals, least: the limit is the least that will do) */
#define METRICS(X)                                                                                 \
    X(USED_UP, "up %", 0, true)                                                                    \
    X(USED_DOWN, "down %", 0, true)                                                                \
    X(JAIN, "Jain", 3, true)                                                                       \
    X(VOICE_P50, "voice p50, ms above idle", 0, false)                                             \
    X(VOICE_P99, "voice p99, ms above idle", 0, false)                                             \
    X(VOICE_LOST, "voice lost", 0, false)                                                          \
    X(INSIDE_P50, "voice inside, p50 ms", 0, false)                                                \
    X(BACK, "line back, s", 2, false)                                                              \
    X(BACK_AGAIN, "and back again, s", 2, false)                                                   \
    X(VOICE_BACK, "voice back, s", 2, false)

enum metric {
#define METRIC_ENUM(symbol, heading, decimals, least) symbol,
    METRICS(METRIC_ENUM)
#undef METRIC_ENUM
        METRIC_COUNT
};

static const struct {
    const char *heading;
    int decimals;
    bool least;
} metrics[METRIC_COUNT] = {
#define METRIC_ROW(symbol, heading, decimals, least) {heading, decimals, least},
    METRICS(METRIC_ROW)
#undef METRIC_ROW
};

struct cell {
    char name[96];
    uint64_t rtt_us, bits_per_s;
    unsigned up, down, offered_percent; /* of the line, by each flow */
    uint64_t lost_once_in;              /* segments, 0: none */
    bool no_nagle, responsive, rival;
    enum change change;
    uint64_t start_us, measured_us;
    double limits[METRIC_COUNT]; /* NAN: none */
};

static struct cell cells[MOST_CELLS];
static unsigned cell_count;

/* ---- the cells and their limits ------------------------------------------------------------ */

static void limit_voice(struct cell *c)
{
    double rtt_ms = (double)c->rtt_us / 1e3, datagram_ms = BULK_SIZE * 8e3 / (double)c->bits_per_s;
    bool slow = c->bits_per_s < 5000000;
    if (c->lost_once_in > 0) {
        c->limits[VOICE_P99] = 1.2 * rtt_ms + 90;
        return;
    }
    c->limits[VOICE_P50] = (rtt_ms <= 50 ? 12 : rtt_ms <= 100 ? 30 : 60);
    c->limits[VOICE_P99] = (rtt_ms <= 50 ? 45 : rtt_ms <= 100 ? 110 : 160);
    if (slow) {
        c->limits[VOICE_P50] += 2 * datagram_ms;
        c->limits[VOICE_P99] += 5 * datagram_ms;
    }
    c->limits[VOICE_LOST] = 0;
}

/* A cell that is measured for some seconds on a path that stays. */
static struct cell *add(const char *what, uint64_t rtt_us, unsigned mbits, unsigned up,
                        unsigned down)
{
    struct cell *c = &cells[cell_count++];
    *c = (struct cell){.rtt_us = rtt_us,
                       .bits_per_s = mbits * UINT64_C(1000000),
                       .up = up,
                       .down = down,
                       .offered_percent = 200,
                       .start_us = 4 * SECOND_US,
                       .measured_us = 6 * SECOND_US};
    snprintf(c->name, sizeof c->name, "%g ms, %u Mbit/s, %s", (double)rtt_us / 1e3, mbits, what);
    for (int i = 0; i < METRIC_COUNT; i++)
        c->limits[i] = NAN;
    return c;
}

static struct cell *add_steady(const char *what, uint64_t rtt_us, unsigned mbits, unsigned flows,
                               uint64_t lost_once_in)
{
    char text[64];
    snprintf(text, sizeof text, "%u flow%s%s", flows, flows > 1 ? "s" : "", what);
    struct cell *c = add(text, rtt_us, mbits, flows, 0);
    c->lost_once_in = lost_once_in;
    c->limits[USED_UP] = lost_once_in > 0 ? (rtt_us >= 200000 ? 75 : 85) : mbits == 1 ? 88 : 94;
    if (flows > 1)
        c->limits[JAIN] = 0.98;
    limit_voice(c);
    return c;
}

static void add_steady_cells(void)
{
    static const uint64_t rtts_us[] = {500, 5000, 20000, 50000, 100000, 200000};
    static const unsigned rates[] = {1, 5, 20}, flows[] = {1, 4, 8};
    for (unsigned r = 0; r < 6; r++)
        for (unsigned b = 0; b < 3; b++)
            for (unsigned f = 0; f < 3; f++)
                add_steady("", rtts_us[r], rates[b], flows[f], 0);
    /* Many that are slow each and too much together. */
    for (unsigned b = 0; b < 2; b++)
        add_steady(" of a quarter of the line each", 50000, rates[b], 8, 0)->offered_percent = 25;
    for (unsigned r = 0; r < 6; r += 2)
        add_steady("", rtts_us[r], 100, 4, 0);
    add_steady(", no Nagle", 20000, 20, 4, 0)->no_nagle = true;
    add_steady(", no Nagle", 100000, 20, 4, 0)->no_nagle = true;
    for (unsigned r = 2; r < 6; r++)
        for (unsigned b = 1; r != 4 && b < 3; b++) {
            add_steady(", 0.5 % loss", rtts_us[r], rates[b], 4, 200);
            add_steady(", 1 % loss", rtts_us[r], rates[b], 4, 100);
        }
}

static void add_both(uint64_t rtt_us, unsigned mbits)
{
    struct cell *c = add("3 flows each way", rtt_us, mbits, 3, 3);
    c->limits[USED_UP] = c->limits[USED_DOWN] = 90;
    c->limits[JAIN] = 0.98;
}

static void add_responsive(uint64_t rtt_us, unsigned mbits, double used, double inside_ms)
{
    struct cell *c = add("a responsive flow", rtt_us, mbits, 0, 0);
    c->responsive = true;
    c->start_us = 20 * SECOND_US;
    c->measured_us = 10 * SECOND_US;
    c->limits[USED_UP] = used;
    c->limits[INSIDE_P50] = inside_ms;
}

/* Beside another's TCP there is no limit but that nothing starves. */
static void add_rival(uint64_t rtt_us, unsigned mbits)
{
    struct cell *c = add("1 flow beside another's TCP", rtt_us, mbits, 1, 0);
    c->rival = true;
    c->start_us = c->measured_us = 15 * SECOND_US;
}

static void add_change(const char *what, enum change change, uint64_t rtt_us, double line_s)
{
    struct cell *c = add(what, rtt_us, 20, 2, 0);
    c->change = change;
    c->measured_us = 2 * STEP_US;
    c->limits[BACK] = c->limits[BACK_AGAIN] = line_s;
    if (change == CHANGE_RATE)
        c->limits[VOICE_BACK] = 3;
}

static void add_cells(void)
{
    add_steady_cells();
    add_both(20000, 20);
    add_both(50000, 5);
    add_both(100000, 20);
    add_both(200000, 20);
    add_responsive(20000, 20, NAN, NAN);
    add_responsive(50000, 10, NAN, 60);
    add_responsive(200000, 20, 55, NAN);
    add_rival(20000, 5);
    add_rival(50000, 20);
    add_change("2 flows, then 200 ms, then 20", CHANGE_DELAY, 20000, 2);
    add_change("2 flows, then 2 Mbit/s, then 20", CHANGE_RATE, 50000, 3.5);
}

/* ---- one run ------------------------------------------------------------------------------- */

static struct world *plan(const struct cell *c, uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->seed = seed;
    w->rng = (struct rng){seed};
    w->server_count = w->local_count = 1;
    w->delay_us = c->rtt_us / 2;
    w->bytes_per_s = c->bits_per_s / 8;
    w->capacity = 1 << 20;
    w->largest_chunk = 16384;
    w->largest_payload = VOICE_SIZE;
    w->silent_dest = BULK_DEST;
    w->has_silent_dest = w->proxied = w->narrow = w->fast_repair = true;
    w->nagle = !c->no_nagle;
    w->active_until_us = w->next_traffic_us = w->next_fault_us = UDPTUN_MACHINE_NEVER;
    plan_node(w, &w->servers[0], true, 0);
    plan_node(w, &w->locals[0], false, 0);
    w->locals[0].config.redundancy = 1;
    w->locals[0].config.connections = 8;
    w->servers[0].config.max_queue_delay_ms = w->locals[0].config.max_queue_delay_ms = 500;
    w->servers[0].config.max_queue_bytes = w->locals[0].config.max_queue_bytes = 1 << 20;
    return w;
}

static void change_path(struct world *w, uint64_t delay_us, uint64_t bytes_per_s)
{
    w->delay_us = delay_us;
    w->bytes_per_s = bytes_per_s;
    for (struct stream *s = w->streams; s; s = s->next) {
        s->delay_us = delay_us;
        s->bytes_per_s = bytes_per_s;
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct latency {
    double p50_ms, p99_ms;
    unsigned count, lost;
};

/* Of what went up to `dest` among those numbered from `first` to before `end`. */
static struct latency latency_of(const struct world *w, uint32_t first, uint32_t end, unsigned dest)
{
    struct latency out = {0};
    uint64_t *ages = malloc((end - first + 1) * sizeof *ages);
    if (!ages)
        abort();
    for (uint32_t i = first; i < end; i++) {
        const struct sent *s = &w->sent[i];
        if (s->direction != UP || s->dest != dest)
            continue;
        if (s->delivered)
            ages[out.count++] = s->delivered_us - s->at_us;
        else
            out.lost++;
    }
    qsort(ages, out.count, sizeof *ages, by_size);
    if (out.count > 0) {
        out.p50_ms = (double)ages[out.count / 2] / 1e3;
        out.p99_ms = (double)ages[out.count * 99 / 100] / 1e3;
    }
    free(ages);
    return out;
}

/* Bytes of bulk that arrived from `from_us` to before `to_us`, of each source of the direction. */
static double arrived(const struct world *w, enum direction d, uint64_t from_us, uint64_t to_us,
                      double by_source[BULK_FLOWS])
{
    double sum = 0;
    for (unsigned i = 0; i < BULK_FLOWS; i++)
        by_source[i] = 0;
    for (uint32_t i = 0; i < w->sent_count; i++) {
        const struct sent *s = &w->sent[i];
        if (s->direction != d || s->dest != BULK_DEST || !s->delivered ||
            s->delivered_us < from_us || s->delivered_us >= to_us)
            continue;
        by_source[s->owner % SOURCES] += s->size;
        sum += s->size;
    }
    return sum;
}

static double used_percent(const struct world *w, enum direction d, uint64_t from_us,
                           uint64_t for_us, uint64_t bits_per_s)
{
    double by_source[BULK_FLOWS];
    return arrived(w, d, from_us, from_us + for_us, by_source) * 800e6 / (double)for_us /
           (double)bits_per_s;
}

/* Jain's index: (sum x)^2 / (n sum x^2), 1 where all get the same. */
static double jain(const struct world *w, unsigned flows, uint64_t from_us, uint64_t for_us)
{
    double by_source[BULK_FLOWS], squares = 0;
    double sum = arrived(w, UP, from_us, from_us + for_us, by_source);
    for (unsigned i = 0; i < flows; i++)
        squares += by_source[i] * by_source[i];
    return squares > 0 ? sum * sum / flows / squares : 0;
}

/* How long after `from_us` the line is used to 85 %, in two windows in a row. */
static double back_s(const struct world *w, uint64_t from_us, uint64_t bits_per_s)
{
    unsigned in_a_row = 0;
    for (uint64_t at_us = 0; at_us < STEP_US; at_us += WINDOW_US) {
        bool used = used_percent(w, UP, from_us + at_us, WINDOW_US, bits_per_s) >= 85;
        in_a_row = used ? in_a_row + 1 : 0;
        if (in_a_row == 2)
            return (double)(at_us - WINDOW_US) / 1e6;
    }
    return NOT_BACK_S;
}

/* How long after `from_us` the last voice datagram of the step was sent that was lost or more than
 * 100 ms later than the path is long. */
static double voice_back_s(const struct world *w, uint64_t from_us)
{
    uint64_t last_us = from_us;
    for (uint32_t i = 0; i < w->sent_count; i++) {
        const struct sent *s = &w->sent[i];
        bool good = s->delivered && s->delivered_us - s->at_us <= w->delay_us + 100000;
        if (s->direction == UP && s->dest == VOICE_DEST && !good && s->at_us >= from_us &&
            s->at_us < from_us + STEP_US)
            last_us = s->at_us;
    }
    return (double)(last_us - from_us) / 1e6;
}

static void run_change(const struct cell *c, struct world *w, struct load *l,
                       double out[METRIC_COUNT])
{
    uint64_t delay_us = w->delay_us, bytes_per_s = w->bytes_per_s, changed_us = w->now_us;
    if (c->change == CHANGE_DELAY)
        change_path(w, 10 * delay_us, bytes_per_s);
    else
        change_path(w, delay_us, bytes_per_s / 10);
    uint64_t bits_per_s = w->bytes_per_s * 8;
    load_run(l, STEP_US, true);
    uint64_t again_us = w->now_us;
    change_path(w, delay_us, bytes_per_s);
    load_run(l, STEP_US, true);
    run_until(w, w->now_us + SECOND_US);
    out[BACK] = back_s(w, changed_us, bits_per_s);
    out[BACK_AGAIN] = back_s(w, again_us, c->bits_per_s);
    if (c->change == CHANGE_RATE)
        out[VOICE_BACK] = voice_back_s(w, changed_us);
}

static void run_steady(const struct cell *c, struct world *w, struct load *l, uint32_t idle_first,
                       uint32_t idle_end, double out[METRIC_COUNT])
{
    uint32_t first = w->sent_count;
    uint64_t from_us = w->now_us;
    load_run(l, c->measured_us, true);
    uint32_t end = w->sent_count;
    run_until(w, w->now_us + SECOND_US);
    if (c->up > 0 || c->responsive)
        out[USED_UP] = used_percent(w, UP, from_us, c->measured_us, c->bits_per_s);
    if (c->down > 0)
        out[USED_DOWN] = used_percent(w, DOWN, from_us, c->measured_us, c->bits_per_s);
    if (c->up > 1)
        out[JAIN] = jain(w, c->up, from_us, c->measured_us);
    struct latency idle = latency_of(w, idle_first, idle_end, VOICE_DEST),
                   loaded = latency_of(w, first, end, VOICE_DEST);
    out[VOICE_P50] = loaded.p50_ms - idle.p50_ms;
    out[VOICE_P99] = loaded.p99_ms - idle.p99_ms;
    out[VOICE_LOST] = loaded.lost;
    if (c->responsive)
        out[INSIDE_P50] = latency_of(w, first, end, INSIDE_DEST).p50_ms;
}

static bool run_cell(const struct cell *c, uint64_t seed, double out[METRIC_COUNT])
{
    struct world *w = plan(c, seed);
    struct load l;
    for (int i = 0; i < METRIC_COUNT; i++)
        out[i] = NAN;
    load_init(&l, w);
    l.offered_per_s = c->bits_per_s * c->offered_percent / 100;
    l.up = c->up;
    l.down = c->down;
    l.responsive = c->responsive;
    l.rival = c->rival;
    run_until(w, CONNECT_US);
    w->lost_once_in = c->lost_once_in;
    load_run(&l, SECOND_US, false);
    uint32_t idle_first = w->sent_count;
    load_run(&l, IDLE_US, false);
    uint32_t idle_end = w->sent_count;
    load_run(&l, c->start_us, true);
    if (c->change != CHANGE_NONE)
        run_change(c, w, &l, out);
    else
        run_steady(c, w, &l, idle_first, idle_end, out);
    load_fini(&l);
    bool ok = world_end(w);
    world_free(w);
    return ok;
}

/* ---- the table ----------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool misses(enum metric m, double value, double limit)
{
    return !isnan(limit) && (metrics[m].least ? value < limit : value > limit);
}

/* One field of the row; true when it is a miss. */
static bool print_figure(enum metric m, double value, double limit)
{
    char text[32] = "";
    if (!isnan(value))
        snprintf(text, sizeof text, "%.*f", metrics[m].decimals, value);
    bool bad = misses(m, value, limit);
    printf(" %s%s%s", bad ? "**" : "", text, bad ? "**" : "");
    if (!isnan(limit))
        printf(" (%.*f)", metrics[m].decimals, limit);
    fputs(" |", stdout);
    return bad;
}

/* The row of a cell; returns how many limits it misses. */
static unsigned run_row(const struct cell *c, unsigned seeds)
{
    static double values[METRIC_COUNT][MOST_SEEDS];
    unsigned missed = 0;
    bool ok = true;
    for (unsigned i = 0; i < seeds; i++) {
        double out[METRIC_COUNT];
        ok &= run_cell(c, i + 1, out);
        for (int m = 0; m < METRIC_COUNT; m++)
            values[m][i] = out[m];
    }
    printf("| %s |", c->name);
    for (int m = 0; m < METRIC_COUNT; m++) {
        qsort(values[m], seeds, sizeof values[m][0], by_value);
        missed += print_figure((enum metric)m, values[m][seeds / 2], c->limits[m]);
    }
    printf(" %s |\n", !ok ? "**BROKEN**" : missed ? "misses" : "meets");
    return missed + !ok;
}

static const char preamble[] =
    "# What the simulator measures\n\n"
    "Written by `cmake --build build --target matrix` (`sim --matrix`); nothing here is edited by "
    "hand.\n\n"
    "Each row is a path and a load on one session with eight connections, through a box with "
    "Nagle's\nalgorithm unless it says otherwise. Each bulk flow offers twice the line. *Voice* is "
    "172 "
    "bytes each 20 ms;\n*idle* is the same run before the bulk begins. Used is payload of the "
    "whole line. Figures are medians\nover seeds, their limits are in brackets, and what misses "
    "its limit is **bold**. A flow is *responsive*\nwhen it keeps a window as TCP does; *inside* "
    "is a voice in that flow's own binding. 99 s: not back\nbefore the path changed again or the "
    "run ended (8 s). Virtual time: the machine plays no part.\n\n";

bool run_matrix(unsigned seeds, const char *part)
{
    unsigned rows = 0, bad = 0;
    add_cells();
    if (!part)
        fputs(preamble, stdout);
    fputs("| path and load |", stdout);
    for (int m = 0; m < METRIC_COUNT; m++)
        printf(" %s |", metrics[m].heading);
    fputs(" limits |\n|---|", stdout);
    for (int m = 0; m < METRIC_COUNT; m++)
        fputs("---:|", stdout);
    puts("---|");
    for (unsigned i = 0; i < cell_count; i++) {
        if (part && !strstr(cells[i].name, part))
            continue;
        rows++;
        bad += run_row(&cells[i], seeds) > 0;
    }
    printf("\n%u of %u cells miss a limit (medians of %u seeds; limits in brackets).\n", bad, rows,
           seeds);
    return rows > 0 && bad == 0;
}
