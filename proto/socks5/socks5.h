/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socks5.h - SOCKS5 messages (RFC 1928, RFC 1929), both sides, without I/O.
 *
 * Encoders append to a writer. Decoders read from a reader that holds what has come so far and
 * leave it behind the message when one is complete; on SOCKS5_MORE the reader is where it was, so
 * the caller asks again with more bytes. A decoder never wants more bytes than the message has:
 * `*need` (may be NULL) tells how many of them, counted from its start, must be there before
 * another attempt can get further, so that a caller can read exactly a message and not a byte of
 * what follows.
 */
#ifndef PROTO_SOCKS5_H
#define PROTO_SOCKS5_H

#include "proto/buffer.h"
#include "proto/endpoint.h"

enum socks5_result {
    SOCKS5_DONE,
    SOCKS5_MORE, /* incomplete so far */
    SOCKS5_BAD,  /* no such message; *cause says why */
};

enum socks5_method {
    SOCKS5_METHOD_NONE = 0x00,
    SOCKS5_METHOD_PASSWORD = 0x02,
    SOCKS5_METHOD_REFUSED = 0xff,
};

enum socks5_command {
    SOCKS5_CONNECT = 1,
    SOCKS5_BIND = 2,
    SOCKS5_UDP_ASSOCIATE = 3,
};

/* X(symbol, value, text) */
#define SOCKS5_REPLIES(X)                                                                          \
    X(SOCKS5_OK, 0, "succeeded")                                                                   \
    X(SOCKS5_FAILED, 1, "general failure")                                                         \
    X(SOCKS5_NOT_ALLOWED, 2, "not allowed by the proxy's rules")                                   \
    X(SOCKS5_NET_UNREACHABLE, 3, "network unreachable")                                            \
    X(SOCKS5_HOST_UNREACHABLE, 4, "host unreachable")                                              \
    X(SOCKS5_REFUSED, 5, "connection refused")                                                     \
    X(SOCKS5_TTL_EXPIRED, 6, "TTL expired")                                                        \
    X(SOCKS5_COMMAND_UNSUPPORTED, 7, "command not supported")                                      \
    X(SOCKS5_ADDRESS_UNSUPPORTED, 8, "address type not supported")

enum socks5_reply {
#define SOCKS5_REPLY_ENUM(symbol, value, text) symbol = (value),
    SOCKS5_REPLIES(SOCKS5_REPLY_ENUM)
#undef SOCKS5_REPLY_ENUM
};

/* "host unreachable"; "unknown reply" for a value that is not in the list. */
const char *socks5_reply_text(uint8_t reply);

/* DST.ADDR and DST.PORT. A name stays a name. */
struct socks5_address {
    struct udptun_endpoint ep; /* family NONE when it is a name; mapped IPv6 is kept as it came */
    uint16_t port;             /* also when it is a name */
    uint8_t name_len;          /* 1 to 255, 0: it is no name */
    char name[HOST_NAME_SIZE]; /* NUL-terminated, and without a NUL inside */
};

struct socks5_address socks5_address_of(const struct udptun_endpoint *ep);
/* Of what a user wrote: an address or a name. */
struct socks5_address socks5_address_of_host(const struct host_port *host);
/* The address in `ep`, unmapped, where it is one, in bytes or as text ("192.0.2.1", "[::1]").
 * False: a host name, or no address at all. */
bool socks5_address_ip(const struct socks5_address *address, struct udptun_endpoint *ep);
void socks5_write_address(struct writer *w, const struct socks5_address *address);

/* The longest messages. */
#define SOCKS5_GREETING_SIZE   257
#define SOCKS5_PASSWORD_SIZE   513
#define SOCKS5_ADDRESS_SIZE    259 /* ATYP, length, name, port */
#define SOCKS5_REQUEST_SIZE    (3 + SOCKS5_ADDRESS_SIZE)
#define SOCKS5_REPLY_SIZE      SOCKS5_REQUEST_SIZE
#define SOCKS5_UDP_HEADER_SIZE (3 + SOCKS5_ADDRESS_SIZE)

/* ---- client: encode ... */
/* Offers "no authentication", and "password" too when `password`. */
void socks5_write_greeting(struct writer *w, bool password);
/* Fails the writer when either is longer than 255, or the user is empty. */
void socks5_write_password(struct writer *w, const char *user, const char *password);
void socks5_write_request(struct writer *w, enum socks5_command command,
                          const struct socks5_address *address);

/* ... and decode */
enum socks5_result socks5_read_method(struct reader *r, uint8_t *method, size_t *need,
                                      const char **cause);
/* `*accepted`: the status was 0. */
enum socks5_result socks5_read_password_reply(struct reader *r, bool *accepted, size_t *need,
                                              const char **cause);
enum socks5_result socks5_read_reply(struct reader *r, uint8_t *reply, struct socks5_address *bound,
                                     size_t *need, const char **cause);

/* ---- server: decode ... */
struct socks5_greeting {
    bool none; /* methods that the client offers */
    bool password;
};
enum socks5_result socks5_read_greeting(struct reader *r, struct socks5_greeting *greeting,
                                        size_t *need, const char **cause);
struct socks5_password {
    uint8_t user_len, password_len;
    char user[256], password[256]; /* NUL-terminated; compare with the lengths */
};
enum socks5_result socks5_read_password(struct reader *r, struct socks5_password *password,
                                        size_t *need, const char **cause);
struct socks5_request {
    uint8_t command; /* enum socks5_command, or one that is not known */
    struct socks5_address address;
};
/* On SOCKS5_BAD `*reply` (may be NULL) is what to answer: an unknown address type has its own. */
enum socks5_result socks5_read_request(struct reader *r, struct socks5_request *request,
                                       uint8_t *reply, size_t *need, const char **cause);

/* ... and encode */
void socks5_write_method(struct writer *w, enum socks5_method method);
void socks5_write_password_reply(struct writer *w, bool accepted);
/* `bound` NULL: 0.0.0.0:0. */
void socks5_write_reply(struct writer *w, enum socks5_reply reply,
                        const struct udptun_endpoint *bound);

/* ---- UDP, both sides */
struct socks5_udp_header {
    uint8_t fragment; /* 0: a whole datagram */
    struct socks5_address address;
};
/* The header of a datagram; on true the reader stands at the payload. */
bool socks5_read_udp_header(struct reader *r, struct socks5_udp_header *header);
void socks5_write_udp_header(struct writer *w, const struct socks5_address *address);

#endif
