/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_socks5.c - every decoder of SOCKS5; the first byte chooses one.
 *
 * Beside memory errors it looks for broken promises: SOCKS5_MORE leaves the reader where it was
 * and wants more than there is; a message that came whole does not need a byte of what follows;
 * an address that was read is written back the same.
 */
#include "proto/socks5/socks5.h"
#include "tests/fuzz/fuzz.h"

enum decoder { METHOD, PASSWORD_REPLY, REPLY, GREETING, PASSWORD, REQUEST, UDP_HEADER, DECODERS };

static void check_address(const struct socks5_address *a)
{
    uint8_t bytes[SOCKS5_ADDRESS_SIZE];
    struct writer w = writer_of(bytes, sizeof bytes);
    MUST(a->name_len ? a->ep.family == UDPTUN_ENDPOINT_NONE : a->ep.family != UDPTUN_ENDPOINT_NONE);
    MUST(strlen(a->name) == a->name_len);
    socks5_write_address(&w, a);
    MUST(!w.failed);
}

static enum socks5_result decode(enum decoder which, struct reader *r, size_t *need,
                                 const char **cause)
{
    enum socks5_result result = SOCKS5_BAD;
    uint8_t byte;
    bool accepted;
    struct socks5_greeting greeting;
    struct socks5_password password;
    struct socks5_request request;
    struct socks5_address bound;
    switch (which) {
    case METHOD:
        return socks5_read_method(r, &byte, need, cause);
    case PASSWORD_REPLY:
        return socks5_read_password_reply(r, &accepted, need, cause);
    case REPLY:
        result = socks5_read_reply(r, &byte, &bound, need, cause);
        /* Some proxies reply with an empty name; that is taken for no address at all. */
        if (result == SOCKS5_DONE &&
            (bound.name_len > 0 || bound.ep.family != UDPTUN_ENDPOINT_NONE))
            check_address(&bound);
        return result;
    case GREETING:
        return socks5_read_greeting(r, &greeting, need, cause);
    case PASSWORD:
        result = socks5_read_password(r, &password, need, cause);
        if (result == SOCKS5_DONE)
            MUST(password.user[password.user_len] == '\0' &&
                 password.password[password.password_len] == '\0');
        return result;
    case REQUEST:
        result = socks5_read_request(r, &request, &byte, need, cause);
        if (result == SOCKS5_DONE)
            check_address(&request.address);
        return result;
    case UDP_HEADER:
    case DECODERS:
        break;
    }
    return result;
}

static void udp_header(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct socks5_udp_header header, again;
    if (!socks5_read_udp_header(&r, &header))
        return;
    check_address(&header.address);
    uint8_t bytes[SOCKS5_UDP_HEADER_SIZE];
    struct writer w = writer_of(bytes, sizeof bytes);
    socks5_write_udp_header(&w, &header.address);
    MUST(!w.failed);
    struct reader back = reader_of(bytes, writer_size(&w));
    MUST(socks5_read_udp_header(&back, &again) && reader_left(&back) == 0);
    MUST(again.address.port == header.address.port);
    MUST(endpoint_equal(&again.address.ep, &header.address.ep));
    MUST(strcmp(again.address.name, header.address.name) == 0);
}

static void message(enum decoder which, const uint8_t *data, size_t size)
{
    size_t need = 0;
    const char *cause = NULL;
    struct reader r = reader_of(data, size);
    enum socks5_result result = decode(which, &r, &need, &cause);
    size_t used = size - reader_left(&r);
    if (result == SOCKS5_MORE) {
        MUST(used == 0 && need > size);
    } else if (result == SOCKS5_BAD) {
        MUST(cause && cause[0]);
    } else {
        MUST(used > 0 && used <= size);
        struct reader exact = reader_of(data, used);
        MUST(decode(which, &exact, &need, &cause) == SOCKS5_DONE && reader_left(&exact) == 0);
        struct reader less = reader_of(data, used - 1);
        MUST(decode(which, &less, &need, &cause) == SOCKS5_MORE);
        MUST(need <= used);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum decoder which = (enum decoder)(data[0] % DECODERS);
    if (which == UDP_HEADER)
        udp_header(data + 1, size - 1);
    else
        message(which, data + 1, size - 1);
    return 0;
}
