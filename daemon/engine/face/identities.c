/* SPDX-License-Identifier: Apache-2.0 */
/* identities.c - udptun_identity(): what a udp-local goes on with after a restart. */
#include <string.h>

#include "daemon/engine/local/udp_local.h"
#include "daemon/engine/settings/identity.h"

struct identity_call {
    udptun_engine *engine;
    const char *name;
    uint8_t *to;
    size_t *size;
    int code;
};

static void get(void *arg)
{
    struct identity_call *call = (struct identity_call *)arg;
    struct tunnel *t = tunnel_find(call->engine, call->name);
    struct identity identity;
    if (!t)
        call->code = UDPTUN_E_NOT_FOUND;
    else if (!t->local)
        call->code = UDPTUN_E_INVALID;
    else if (!t->machine || !udptun_machine_identity(t->machine, &identity.session))
        call->code = UDPTUN_E_UNREACHABLE;
    else {
        memcpy(identity.label_key, t->local->label_key, sizeof identity.label_key);
        *call->size = identity_format(&identity, call->to);
    }
}

int udptun_identity(udptun_engine *engine, const char *name, void *to, size_t *size)
{
    struct identity_call call = {engine, name, (uint8_t *)to, size, UDPTUN_OK};
    engine_call(engine, get, &call);
    return call.code;
}
