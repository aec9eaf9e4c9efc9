/* SPDX-License-Identifier: Apache-2.0 */
/* cap.c - see cap.h. */
#include "daemon/engine/core/cap.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/engine/core/core.h"
#include "daemon/platform/socket.h"

enum { SHOWN_US = 60 * 1000 * 1000 };

const char *cap_shown(const struct cap_note *note, uint64_t now_us)
{
    return note->at_us != 0 && now_us - note->at_us < SHOWN_US ? note->text : NULL;
}

bool cap_fill(const char *cap, enum udptun_state state, char *last_error, size_t size)
{
    bool is_well = state == UDPTUN_ESTABLISHED || state == UDPTUN_LISTENING;
    if (!cap)
        return false;
    if (is_well || !last_error[0])
        snprintf(last_error, size, "%s", cap);
    return true;
}

void cap_reached(struct udptun_engine *e, struct cap_note *note, const char *module,
                 const char *name, const char *format, ...)
{
    char text[sizeof note->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *shown = cap_shown(note, e->loop.now_us);
    if (!shown || strcmp(shown, text) != 0)
        engine_log(e, UDPTUN_LOG_WARN, module, "%s: %s", name, text);
    memcpy(note->text, text, sizeof text);
    note->at_us = e->loop.now_us;
}

void cap_descriptors(struct udptun_engine *e, struct cap_note *note, const char *module,
                     const char *name, const char *what)
{
    cap_reached(e, note, module, name,
                "no socket for %s: this process has too many open files (%u); raise its limit "
                "(LimitNOFILE=, ulimit -n)",
                what, socket_limit());
}

void cap_look_at_buffers(struct udptun_engine *e)
{
    if (e->buffers.refused == e->buffers_refused)
        return;
    e->buffers_refused = e->buffers.refused;
    cap_reached(e, &e->buffers_cap, "engine", "all flows",
                "max-buffer-bytes (%" PRIu64 ") is reached: the flows that hold most have to wait",
                e->buffers.limit);
}
