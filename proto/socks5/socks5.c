/* SPDX-License-Identifier: Apache-2.0 */
/* socks5.c - SOCKS5 messages to and from bytes. */
#include "proto/socks5/socks5.h"

enum {
    VERSION = 5,
    PASSWORD_VERSION = 1, /* of the sub-negotiation, RFC 1929 */
    ATYP_IP4 = 1,
    ATYP_NAME = 3,
    ATYP_IP6 = 4,
    FIELD_MAX = 255,
};

const char *socks5_reply_text(uint8_t reply)
{
    switch (reply) {
#define REPLY_TEXT(symbol, value, text)                                                            \
    case value:                                                                                    \
        return text;
        SOCKS5_REPLIES(REPLY_TEXT)
#undef REPLY_TEXT
    }
    return "unknown reply";
}

/* ---- addresses ----------------------------------------------------------------------------- */

struct socks5_address socks5_address_of(const struct udptun_endpoint *ep)
{
    return (struct socks5_address){.ep = *ep, .port = ep->port};
}

struct socks5_address socks5_address_of_host(const struct host_port *host)
{
    if (host->ep.family != UDPTUN_ENDPOINT_NONE)
        return socks5_address_of(&host->ep);
    struct socks5_address address = {.port = host->port};
    size_t len = strnlen(host->host, FIELD_MAX);
    address.name_len = (uint8_t)len;
    memcpy(address.name, host->host, len);
    return address;
}

bool socks5_address_ip(const struct socks5_address *address, struct udptun_endpoint *ep)
{
    char text[ENDPOINT_TEXT_SIZE];
    size_t len = address->name_len;
    *ep = address->ep;
    if (len > 0) {
        bool bracketed = len > 2 && address->name[0] == '[' && address->name[len - 1] == ']';
        const char *from = address->name + bracketed;
        len -= bracketed ? 2 : 0;
        if (len >= sizeof text)
            return false;
        memcpy(text, from, len);
        text[len] = '\0';
        if (!endpoint_parse_ip(text, ep))
            return false;
    }
    if (ep->family == UDPTUN_ENDPOINT_NONE)
        return false;
    ep->port = address->port;
    *ep = endpoint_unmapped(ep);
    return true;
}

void socks5_write_address(struct writer *w, const struct socks5_address *address)
{
    if (address->ep.family == UDPTUN_ENDPOINT_IP6) {
        writer_u8(w, ATYP_IP6);
        writer_bytes(w, address->ep.ip, 16);
    } else if (address->ep.family == UDPTUN_ENDPOINT_IP4) {
        writer_u8(w, ATYP_IP4);
        writer_bytes(w, address->ep.ip, 4);
    } else if (address->name_len) {
        writer_u8(w, ATYP_NAME);
        writer_u8(w, address->name_len);
        writer_bytes(w, address->name, address->name_len);
    } else {
        w->failed = true;
    }
    writer_u16(w, address->port);
}

/* A message being decoded: a reader of its own, so that the caller's moves only when all is there.
 */
struct message {
    struct reader at;
    const uint8_t *start;
    size_t need; /* set where it turned out to be incomplete */
    const char *cause;
};

static struct message message_of(const struct reader *r)
{
    return (struct message){.at = *r, .start = r->at};
}

/* Whether `size` more bytes are there. */
static bool has(struct message *m, size_t size)
{
    if (reader_left(&m->at) >= size)
        return true;
    m->need = (size_t)(m->at.at - m->start) + size;
    return false;
}

static enum socks5_result socks5_finish(struct message *m, struct reader *r,
                                        enum socks5_result result, size_t *need, const char **cause)
{
    switch (result) {
    case SOCKS5_DONE:
        *r = m->at;
        break;
    case SOCKS5_MORE:
        if (need)
            *need = m->need;
        break;
    case SOCKS5_BAD:
        if (cause)
            *cause = m->cause;
        break;
    }
    return result;
}

static enum socks5_result bad(struct message *m, const char *cause)
{
    m->cause = cause;
    return SOCKS5_BAD;
}

static enum socks5_result read_name(struct message *m, struct socks5_address *address)
{
    if (!has(m, 1))
        return SOCKS5_MORE;
    uint8_t len = reader_u8(&m->at);
    if (!has(m, (size_t)len + 2))
        return SOCKS5_MORE;
    reader_copy(&m->at, address->name, len);
    if (memchr(address->name, '\0', len))
        return bad(m, "host name has a zero byte in it");
    address->name_len = len;
    address->port = reader_u16(&m->at);
    return SOCKS5_DONE;
}

static enum socks5_result read_ip(struct message *m, struct socks5_address *address,
                                  enum udptun_endpoint_family family)
{
    size_t size = family == UDPTUN_ENDPOINT_IP4 ? 4 : 16;
    if (!has(m, size + 2))
        return SOCKS5_MORE;
    address->ep.family = (uint8_t)family;
    reader_copy(&m->at, address->ep.ip, size);
    address->ep.port = address->port = reader_u16(&m->at);
    return SOCKS5_DONE;
}

static const char unknown_address_type[] = "unknown address type";

static enum socks5_result socks5_read_address(struct message *m, struct socks5_address *address)
{
    *address = (struct socks5_address){0};
    /* Every form goes on for three bytes at least. */
    if (!has(m, 2))
        return SOCKS5_MORE;
    switch (reader_u8(&m->at)) {
    case ATYP_IP4:
        return read_ip(m, address, UDPTUN_ENDPOINT_IP4);
    case ATYP_IP6:
        return read_ip(m, address, UDPTUN_ENDPOINT_IP6);
    case ATYP_NAME:
        return read_name(m, address);
    }
    return bad(m, unknown_address_type);
}

static bool is_empty(const struct socks5_address *address)
{
    return address->ep.family == UDPTUN_ENDPOINT_NONE && address->name_len == 0;
}

/* ---- client -------------------------------------------------------------------------------- */

void socks5_write_greeting(struct writer *w, bool password)
{
    writer_u8(w, VERSION);
    writer_u8(w, password ? 2 : 1);
    writer_u8(w, SOCKS5_METHOD_NONE);
    if (password)
        writer_u8(w, SOCKS5_METHOD_PASSWORD);
}

void socks5_write_password(struct writer *w, const char *user, const char *password)
{
    size_t user_len = strlen(user), password_len = strlen(password);
    if (user_len == 0 || user_len > FIELD_MAX || password_len > FIELD_MAX) {
        w->failed = true;
        return;
    }
    writer_u8(w, PASSWORD_VERSION);
    writer_u8(w, (uint8_t)user_len);
    writer_bytes(w, user, user_len);
    writer_u8(w, (uint8_t)password_len);
    writer_bytes(w, password, password_len);
}

void socks5_write_request(struct writer *w, enum socks5_command command,
                          const struct socks5_address *address)
{
    writer_u8(w, VERSION);
    writer_u8(w, (uint8_t)command);
    writer_u8(w, 0);
    socks5_write_address(w, address);
}

static enum socks5_result parse_method(struct message *m, uint8_t *method)
{
    if (!has(m, 2))
        return SOCKS5_MORE;
    if (reader_u8(&m->at) != VERSION)
        return bad(m, "not a SOCKS5 server");
    *method = reader_u8(&m->at);
    return SOCKS5_DONE;
}

enum socks5_result socks5_read_method(struct reader *r, uint8_t *method, size_t *need,
                                      const char **cause)
{
    struct message m = message_of(r);
    return socks5_finish(&m, r, parse_method(&m, method), need, cause);
}

static enum socks5_result parse_password_reply(struct message *m, bool *accepted)
{
    if (!has(m, 2))
        return SOCKS5_MORE;
    /* Its version is not looked at: servers that answer 5 here exist, and the status tells. */
    reader_u8(&m->at);
    *accepted = reader_u8(&m->at) == 0;
    return SOCKS5_DONE;
}

enum socks5_result socks5_read_password_reply(struct reader *r, bool *accepted, size_t *need,
                                              const char **cause)
{
    struct message m = message_of(r);
    return socks5_finish(&m, r, parse_password_reply(&m, accepted), need, cause);
}

static enum socks5_result parse_reply(struct message *m, uint8_t *reply,
                                      struct socks5_address *bound)
{
    if (!has(m, 5))
        return SOCKS5_MORE;
    if (reader_u8(&m->at) != VERSION)
        return bad(m, "not a SOCKS5 server");
    *reply = reader_u8(&m->at);
    reader_u8(&m->at);
    return socks5_read_address(m, bound);
}

enum socks5_result socks5_read_reply(struct reader *r, uint8_t *reply, struct socks5_address *bound,
                                     size_t *need, const char **cause)
{
    struct message m = message_of(r);
    return socks5_finish(&m, r, parse_reply(&m, reply, bound), need, cause);
}

/* ---- server -------------------------------------------------------------------------------- */

static enum socks5_result parse_greeting(struct message *m, struct socks5_greeting *greeting)
{
    *greeting = (struct socks5_greeting){0};
    if (!has(m, 2))
        return SOCKS5_MORE;
    if (reader_u8(&m->at) != VERSION)
        return bad(m, "not a SOCKS5 client");
    uint8_t count = reader_u8(&m->at);
    if (!has(m, count))
        return SOCKS5_MORE;
    const uint8_t *methods = reader_bytes(&m->at, count);
    greeting->none = memchr(methods, SOCKS5_METHOD_NONE, count) != NULL;
    greeting->password = memchr(methods, SOCKS5_METHOD_PASSWORD, count) != NULL;
    return SOCKS5_DONE;
}

enum socks5_result socks5_read_greeting(struct reader *r, struct socks5_greeting *greeting,
                                        size_t *need, const char **cause)
{
    struct message m = message_of(r);
    return socks5_finish(&m, r, parse_greeting(&m, greeting), need, cause);
}

static enum socks5_result parse_password(struct message *m, struct socks5_password *password)
{
    memset(password, 0, sizeof *password);
    if (!has(m, 2))
        return SOCKS5_MORE;
    if (reader_u8(&m->at) != PASSWORD_VERSION)
        return bad(m, "not a password message");
    password->user_len = reader_u8(&m->at);
    if (!has(m, (size_t)password->user_len + 1))
        return SOCKS5_MORE;
    reader_copy(&m->at, password->user, password->user_len);
    password->password_len = reader_u8(&m->at);
    if (!has(m, password->password_len))
        return SOCKS5_MORE;
    reader_copy(&m->at, password->password, password->password_len);
    return SOCKS5_DONE;
}

enum socks5_result socks5_read_password(struct reader *r, struct socks5_password *password,
                                        size_t *need, const char **cause)
{
    struct message m = message_of(r);
    return socks5_finish(&m, r, parse_password(&m, password), need, cause);
}

static enum socks5_result parse_request(struct message *m, struct socks5_request *request)
{
    *request = (struct socks5_request){0};
    if (!has(m, 5))
        return SOCKS5_MORE;
    if (reader_u8(&m->at) != VERSION)
        return bad(m, "not a SOCKS5 request");
    request->command = reader_u8(&m->at);
    reader_u8(&m->at);
    enum socks5_result result = socks5_read_address(m, &request->address);
    if (result == SOCKS5_DONE && is_empty(&request->address))
        return bad(m, "host name is empty");
    return result;
}

enum socks5_result socks5_read_request(struct reader *r, struct socks5_request *request,
                                       uint8_t *reply, size_t *need, const char **cause)
{
    struct message m = message_of(r);
    enum socks5_result result = parse_request(&m, request);
    if (result == SOCKS5_BAD && reply)
        *reply = m.cause == unknown_address_type ? SOCKS5_ADDRESS_UNSUPPORTED : SOCKS5_FAILED;
    return socks5_finish(&m, r, result, need, cause);
}

void socks5_write_method(struct writer *w, enum socks5_method method)
{
    writer_u8(w, VERSION);
    writer_u8(w, (uint8_t)method);
}

void socks5_write_password_reply(struct writer *w, bool accepted)
{
    writer_u8(w, PASSWORD_VERSION);
    writer_u8(w, accepted ? 0 : 1);
}

void socks5_write_reply(struct writer *w, enum socks5_reply reply,
                        const struct udptun_endpoint *bound)
{
    struct udptun_endpoint any = endpoint_ip4(0, 0, 0, 0, 0);
    struct socks5_address address = socks5_address_of(bound ? bound : &any);
    writer_u8(w, VERSION);
    writer_u8(w, (uint8_t)reply);
    writer_u8(w, 0);
    socks5_write_address(w, &address);
}

/* ---- UDP ----------------------------------------------------------------------------------- */

bool socks5_read_udp_header(struct reader *r, struct socks5_udp_header *header)
{
    struct message m = message_of(r);
    *header = (struct socks5_udp_header){0};
    if (!has(&m, 3))
        return false;
    reader_u16(&m.at);
    header->fragment = reader_u8(&m.at);
    if (socks5_read_address(&m, &header->address) != SOCKS5_DONE || is_empty(&header->address))
        return false;
    *r = m.at;
    return true;
}

void socks5_write_udp_header(struct writer *w, const struct socks5_address *address)
{
    writer_u16(w, 0);
    writer_u8(w, 0);
    socks5_write_address(w, address);
}
