/* SPDX-License-Identifier: Apache-2.0 */
/* identity.c - what lets a udp-local go on with its session after a restart. */
#include "daemon/engine/settings/identity.h"

#include "daemon/platform/clock.h"
#include "proto/buffer.h"
#include "proto/error.h"

/* "UI" and the version of what follows. */
#define IDENTITY_MAGIC 0x55490001u

size_t identity_format(const struct identity *identity, uint8_t to[UDPTUN_IDENTITY_SIZE])
{
    const struct udptun_session_identity *s = &identity->session;
    struct writer w = writer_of(to, UDPTUN_IDENTITY_SIZE);
    writer_u32(&w, IDENTITY_MAGIC);
    writer_bytes(&w, s->session, sizeof s->session);
    writer_bytes(&w, s->secret, sizeof s->secret);
    writer_u64(&w, s->epoch);
    writer_u64(&w, s->incarnation);
    writer_u64(&w, s->client_incarnation);
    writer_bytes(&w, identity->label_key, sizeof identity->label_key);
    return writer_size(&w);
}

/* Above every start before, also when the clock was set back meanwhile. */
static uint64_t next_incarnation(uint64_t last)
{
    uint64_t now_ms = clock_wall_ms();
    return now_ms > last ? now_ms : last + 1;
}

int identity_parse(const void *data, size_t size, struct identity *identity,
                   struct udptun_error *err)
{
    struct udptun_session_identity *s = &identity->session;
    struct reader r = reader_of(data, size);
    uint32_t magic = reader_u32(&r);
    reader_copy(&r, s->session, sizeof s->session);
    reader_copy(&r, s->secret, sizeof s->secret);
    s->epoch = reader_u64(&r);
    s->incarnation = reader_u64(&r);
    s->client_incarnation = next_incarnation(reader_u64(&r));
    reader_copy(&r, identity->label_key, sizeof identity->label_key);
    if (!reader_done(&r) || magic != IDENTITY_MAGIC)
        return error_set(err, UDPTUN_E_INVALID, "identity",
                         "identity: is not what udptun_identity() gives");
    return UDPTUN_OK;
}
