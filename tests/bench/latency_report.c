/* SPDX-License-Identifier: Apache-2.0 */
/* latency_report.c - the report of the near end (latency_near.h) */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/latency_near.h"

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Sorts what is left of the round trips, LATENCY_MISSING last; late counts the lost, too. */
static void report_class(const struct near_options *o, const struct near_class *c,
                         enum traffic_class which, const char *before)
{
    uint32_t *rtts_us = c->rtts_us + c->first_counted;
    uint32_t sent = c->sent - c->first_counted;
    uint32_t lost = 0, late = 0;
    double limit_us = (o->path_ms + o->late_ms) * 1000;

    for (uint32_t i = 0; i < sent; i++) {
        lost += rtts_us[i] == LATENCY_MISSING;
        late += rtts_us[i] == LATENCY_MISSING || rtts_us[i] > limit_us;
    }
    qsort(rtts_us, sent, sizeof(*rtts_us), by_value);
    uint32_t came = sent - lost;
    double ms[4] = {0};
    static const double parts[4] = {0.5, 0.9, 0.99, 1};
    for (int i = 0; i < 4 && came > 0; i++)
        ms[i] = rtts_us[(uint32_t)((double)(came - 1) * parts[i])] / 1e3;
    if (o->json) {
        printf("%s\"%s\":{\"sent\":%" PRIu32 ",\"lost\":%" PRIu32 ",\"late\":%" PRIu32
               ",\"p50Ms\":%.2f,\"p90Ms\":%.2f,\"p99Ms\":%.2f,\"maxMs\":%.2f"
               ",\"reordered\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"oldestBackMs\":%.1f}",
               before, traffic_class_name(which), sent, lost, late, ms[0], ms[1], ms[2], ms[3],
               c->reordered, c->duplicates, (double)c->oldest_back_ns / 1e6);
        return;
    }
    double percent = sent ? 100.0 / sent : 0;
    printf("%-6s %8" PRIu32 " %7.2f %% %7.2f %% %9.1f %9.1f %9.1f %9.1f %8.2f %%\n",
           traffic_class_name(which), sent, lost * percent, late * percent, ms[0], ms[1], ms[2],
           ms[3], came ? (double)c->reordered * 100 / came : 0.0);
}

void latency_report(const struct near_options *o, struct near_class *classes)
{
    const char *before = "";
    if (!o->json)
        printf("%-6s %8s %9s %9s %9s %9s %9s %9s %10s\n", "", "sent", "lost", "late", "p50 ms",
               "p90 ms", "p99 ms", "max ms", "reordered");
    else
        putchar('{');
    for (int i = 0; i < CLASS_COUNT; i++) {
        const struct near_class *c = &classes[i];
        if (c->sent == c->first_counted)
            continue;
        if (i != BULK) {
            report_class(o, c, (enum traffic_class)i, before);
        } else if (o->json) {
            printf("%s\"bulk\":{\"sent\":%" PRIu32 "}", before, c->sent - c->first_counted);
        } else {
            printf("bulk   %8" PRIu32 " (the far end knows what came)\n",
                   c->sent - c->first_counted);
        }
        before = ",";
    }
    puts(o->json ? "}" : "");
}
