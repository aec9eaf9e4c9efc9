/* SPDX-License-Identifier: Apache-2.0 */
/* sessions.c - udptun_close_session(): ending one client's session at a server. */
#include <string.h>

#include "daemon/engine/tunnel/tunnel.h"
#include "proto/error.h"

struct close_call {
    struct udptun_engine *engine;
    const char *name;
    const char *session;
    struct udptun_error *err;
    int code;
};

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_id(const char *text, uint8_t id[UDPTUN_MACHINE_SESSION_ID_SIZE])
{
    if (!text || strlen(text) != 2 * UDPTUN_MACHINE_SESSION_ID_SIZE)
        return false;
    for (size_t i = 0; i < UDPTUN_MACHINE_SESSION_ID_SIZE; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        id[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static struct udptun_session *sessions_find(const struct tunnel *t,
                                            const uint8_t id[UDPTUN_MACHINE_SESSION_ID_SIZE])
{
    struct udptun_session *s = t->machine ? udptun_session_next(t->machine, NULL) : NULL;
    for (; s; s = udptun_session_next(t->machine, s)) {
        struct udptun_session_info info;
        udptun_session_look(s, t->engine->loop.now_us, &info);
        if (memcmp(info.id, id, UDPTUN_MACHINE_SESSION_ID_SIZE) == 0)
            break;
    }
    return s;
}

static int close_session(const struct close_call *call)
{
    struct udptun_engine *e = call->engine;
    uint8_t id[UDPTUN_MACHINE_SESSION_ID_SIZE];
    struct tunnel *t = tunnel_find(e, call->name);
    if (!t)
        return error_set(call->err, UDPTUN_E_NOT_FOUND, "name", "name: no tunnel '%s'",
                         call->name ? call->name : "");
    if (t->config->given.role != UDPTUN_SERVER)
        return error_set(call->err, UDPTUN_E_INVALID, "name",
                         "name: '%s' is a udp-local; remove the tunnel to end its session",
                         call->name);
    if (!parse_id(call->session, id))
        return error_set(call->err, UDPTUN_E_INVALID, "session",
                         "session: 32 lower-case hexadecimal digits are expected");
    struct udptun_session *s = sessions_find(t, id);
    if (!s)
        return error_set(call->err, UDPTUN_E_NOT_FOUND, "session",
                         "session: no such session on tunnel '%s'", call->name);
    engine_log(e, UDPTUN_LOG_INFO, "server", "%s: session %.8s... is closed on request", call->name,
               call->session);
    udptun_session_close(s, e->loop.now_us);
    tunnel_touch(t);
    return UDPTUN_OK;
}

static void sessions_run(void *arg)
{
    struct close_call *call = (struct close_call *)arg;
    engine_refresh(call->engine);
    call->code = close_session(call);
    engine_settle(call->engine);
}

int udptun_close_session(udptun_engine *engine, const char *name, const char *session,
                         struct udptun_error *err)
{
    struct close_call call = {engine, name, session, err, UDPTUN_OK};
    engine_call(engine, sessions_run, &call);
    return call.code;
}
