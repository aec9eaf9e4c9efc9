/* SPDX-License-Identifier: Apache-2.0 */
/* dial_socks5.c - a CONNECT through a SOCKS5 proxy, with a password if there is one. */
#include "daemon/engine/streams/dial_proxy.h"
#include "daemon/engine/streams/dialer.h"
#include "proto/error.h"

/* What each reply is for the rest of the system. */
static const struct {
    enum socks5_reply reply;
    int code;
    enum io what;
} replies[] = {
    {SOCKS5_FAILED, UDPTUN_E_UNREACHABLE, IO_FAILED},
    {SOCKS5_NOT_ALLOWED, UDPTUN_E_PERMISSION, IO_DENIED},
    {SOCKS5_NET_UNREACHABLE, UDPTUN_E_UNREACHABLE, IO_NET_UNREACHABLE},
    {SOCKS5_HOST_UNREACHABLE, UDPTUN_E_UNREACHABLE, IO_HOST_UNREACHABLE},
    {SOCKS5_REFUSED, UDPTUN_E_UNREACHABLE, IO_REFUSED},
    {SOCKS5_TTL_EXPIRED, UDPTUN_E_UNREACHABLE, IO_TIMED_OUT},
    {SOCKS5_COMMAND_UNSUPPORTED, UDPTUN_E_UNSUPPORTED, IO_UNSUPPORTED},
    {SOCKS5_ADDRESS_UNSUPPORTED, UDPTUN_E_UNSUPPORTED, IO_NO_FAMILY},
};

uint8_t dial_socks5_reply(const struct udptun_error *err)
{
    enum io what = io_of(err->sys_errno);
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
        if (what == replies[i].what && what != IO_FAILED)
            return (uint8_t)replies[i].reply;
    if (err->code == UDPTUN_E_PERMISSION)
        return SOCKS5_NOT_ALLOWED;
    if (err->code == UDPTUN_E_TIMEOUT || err->code == UDPTUN_E_NOT_FOUND)
        return SOCKS5_HOST_UNREACHABLE;
    return SOCKS5_FAILED;
}

static struct writer out_of(struct dial_proxy *p)
{
    return writer_of(p->out, sizeof p->out);
}

static enum dial_step send_request(struct dial_proxy *p)
{
    struct socks5_address address = socks5_address_of_host(p->target);
    struct writer w = out_of(p);
    socks5_write_request(&w, p->associate ? SOCKS5_UDP_ASSOCIATE : SOCKS5_CONNECT, &address);
    p->out_size = writer_size(&w);
    p->socks5.state = SOCKS5_WAIT_REPLY;
    return DIAL_WAIT;
}

static enum dial_step send_password(struct dial_proxy *p)
{
    struct writer w = out_of(p);
    socks5_write_password(&w, p->via->user, p->via->password);
    p->out_size = writer_size(&w);
    p->socks5.state = SOCKS5_WAIT_PASSWORD_REPLY;
    return DIAL_WAIT;
}

static enum dial_step dial_socks5_fail(struct dial_proxy *p, int code, enum io what,
                                       const char *text)
{
    error_set(&p->err, code, NULL, "%s", text);
    p->err.sys_errno = io_error(what);
    return DIAL_FAILED;
}

static enum dial_step method_chosen(struct dial_proxy *p, uint8_t method)
{
    if (method == SOCKS5_METHOD_NONE)
        return send_request(p);
    if (method == SOCKS5_METHOD_PASSWORD && p->via->has_user)
        return send_password(p);
    return dial_socks5_fail(p, UDPTUN_E_AUTH, IO_DENIED,
                            p->via->has_user ? "takes neither a password nor none"
                                             : "wants a password");
}

static enum dial_step replied(struct dial_proxy *p, uint8_t reply)
{
    int code = UDPTUN_E_UNREACHABLE;
    enum io what = IO_FAILED;
    if (reply == SOCKS5_OK)
        return DIAL_OPEN;
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
        if ((uint8_t)replies[i].reply == reply) {
            code = replies[i].code;
            what = replies[i].what;
        }
    error_set(&p->err, code, DIAL_OF_TARGET, "SOCKS5: %s (%u)", socks5_reply_text(reply), reply);
    p->err.sys_errno = io_error(what);
    return DIAL_FAILED;
}

void dial_socks5_begin(struct dial_proxy *p)
{
    struct writer w = out_of(p);
    socks5_write_greeting(&w, p->via->has_user);
    p->out_size = writer_size(&w);
    p->socks5.state = SOCKS5_WAIT_METHOD;
    p->socks5.in_size = 0;
}

/* What has come so far, as the message that is waited for. */
static enum socks5_result dial_socks5_decode(struct dial_proxy *p, size_t *need,
                                             enum dial_step *step)
{
    const char *cause = "";
    uint8_t byte = 0;
    bool accepted = false;
    struct socks5_address bound = {0};
    enum socks5_result result = SOCKS5_BAD;
    struct reader r = reader_of(p->socks5.in, p->socks5.in_size);
    switch (p->socks5.state) {
    case SOCKS5_WAIT_METHOD:
        result = socks5_read_method(&r, &byte, need, &cause);
        if (result == SOCKS5_DONE)
            *step = method_chosen(p, byte);
        break;
    case SOCKS5_WAIT_PASSWORD_REPLY:
        result = socks5_read_password_reply(&r, &accepted, need, &cause);
        if (result == SOCKS5_DONE)
            *step = accepted
                        ? send_request(p)
                        : dial_socks5_fail(p, UDPTUN_E_AUTH, IO_DENIED, "wrong user or password");
        break;
    case SOCKS5_WAIT_REPLY:
        result = socks5_read_reply(&r, &byte, &bound, need, &cause);
        if (result == SOCKS5_DONE)
            *step = replied(p, byte);
        p->bound = bound;
        break;
    }
    if (result == SOCKS5_BAD)
        *step = dial_socks5_fail(p, UDPTUN_E_UNREACHABLE, IO_PROTOCOL, cause);
    return result;
}

enum dial_step dial_socks5_take(struct dial_proxy *p, const uint8_t *data, size_t size,
                                size_t *taken)
{
    enum dial_step step = DIAL_WAIT;
    *taken = 0;
    for (;;) {
        size_t need = 0;
        enum socks5_result result = dial_socks5_decode(p, &need, &step);
        if (result != SOCKS5_MORE) {
            p->socks5.in_size = 0;
            return step;
        }
        size_t wanted = need - p->socks5.in_size, left = size - *taken;
        size_t chunk = wanted < left ? wanted : left;
        if (chunk == 0)
            return DIAL_WAIT;
        memcpy(p->socks5.in + p->socks5.in_size, data + *taken, chunk);
        p->socks5.in_size += chunk;
        *taken += chunk;
    }
}
