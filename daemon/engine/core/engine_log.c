/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_log.c - log lines of the engine, and the gate for those that strangers can cause.
 */
#include "daemon/engine/core/core.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { LINE_SIZE = 512, GATE_LINES = 5 };

static const uint64_t gate_window_us = 10 * 1000 * 1000;

__attribute__((format(printf, 4, 0))) static void log_line(const struct udptun_engine *e,
                                                           enum udptun_log_level level,
                                                           const char *module, const char *format,
                                                           va_list args)
{
    char text[LINE_SIZE];
    vsnprintf(text, sizeof text, format, args);
    e->config.log(e->config.arg, level, module, text);
}

void engine_log(const struct udptun_engine *e, enum udptun_log_level level, const char *module,
                const char *format, ...)
{
    if (!e->config.log)
        return;
    va_list args;
    va_start(args, format);
    log_line(e, level, module, format, args);
    va_end(args);
}

static bool gate_open(struct log_gate *gate, uint64_t now_us)
{
    if (gate->window_us == 0 || now_us - gate->window_us >= gate_window_us) {
        gate->window_us = now_us;
        gate->lines = 0;
    }
    if (gate->lines < GATE_LINES) {
        gate->lines++;
        return true;
    }
    gate->withheld++;
    return false;
}

void engine_log_gated(const struct udptun_engine *e, struct log_gate *gate,
                      enum udptun_log_level level, const char *module, const char *format, ...)
{
    if (!e->config.log || !gate_open(gate, e->loop.now_us))
        return;
    if (gate->withheld > 0) {
        engine_log(e, level, module, "%" PRIu32 " similar messages suppressed", gate->withheld);
        gate->withheld = 0;
    }
    va_list args;
    va_start(args, format);
    log_line(e, level, module, format, args);
    va_end(args);
}
