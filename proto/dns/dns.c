/* SPDX-License-Identifier: Apache-2.0 */
/* dns.c - reads and adapts DNS messages for a forwarder. */
#include "proto/dns/dns.h"

#include "proto/buffer.h"

enum {
    FLAG_QR = 0x8000,
    FLAGS_OPCODE = 0x7800,
    FLAG_TC = 0x0200,
    FLAG_RD = 0x0100,
    FLAG_RA = 0x0080,
    FLAG_AD = 0x0020,
    FLAG_CD = 0x0010,
    FLAGS_RCODE = 0x000f,
    RCODE_FORMAT_ERROR = 1,
    RCODE_SERVER_FAILURE = 2,
    RCODE_NO_SUCH_NAME = 3,
    TYPE_SOA = 6,
    TYPE_OPT = 41,
    TYPE_FIRST_META = 249, /* TKEY, TSIG, IXFR, AXFR ... ANY: not for a cache */
    TYPE_LAST_META = 255,
    EDNS_DO = 0x8000,
    OPTION_SUBNET = 8,
    OPTION_COOKIE = 10,    /* between a client and the next server: us */
    OPTION_KEEPALIVE = 11, /* of TCP */
    OPTION_PADDING = 12,
    TTL_AT = 4, /* in what follows a record's name */
};

/* ---- reading ------------------------------------------------------------------------------------
 */

struct header {
    uint16_t id, flags, counts[4]; /* questions, answers, authority, additional */
};

static struct header read_header(struct reader *r)
{
    struct header h = {.id = reader_u16(r), .flags = reader_u16(r)};
    for (int i = 0; i < 4; i++)
        h.counts[i] = reader_u16(r);
    return h;
}

/* Skips a name. False: it is cut off, or ends in a pointer, which is not followed. */
static bool skip_name(struct reader *r)
{
    for (;;) {
        uint8_t length = reader_u8(r);
        if (r->failed || length == 0)
            return !r->failed;
        if (length >= 0xc0) {
            reader_u8(r);
            return false;
        }
        if (length > 63)
            r->failed = true;
        reader_bytes(r, length);
    }
}

struct record {
    const uint8_t *fixed; /* behind its name: type, class, TTL, length */
    uint16_t type, class;
    uint32_t ttl;
    struct reader data;
};

static bool read_record(struct reader *r, struct record *record)
{
    skip_name(r);
    record->fixed = r->at;
    record->type = reader_u16(r);
    record->class = reader_u16(r);
    record->ttl = reader_u32(r);
    size_t size = reader_u16(r);
    const uint8_t *data = reader_bytes(r, size);
    record->data = reader_of(data, data ? size : 0);
    return !r->failed;
}

/* True: a forwarder has nothing to say about what the option asks for. */
static bool read_option(struct reader *r, struct dns_question *q)
{
    uint16_t code = reader_u16(r);
    size_t size = reader_u16(r);
    const uint8_t *data = reader_bytes(r, size);
    if (!data && size)
        return false;
    if (code == OPTION_SUBNET && size <= DNS_SUBNET_MAX && q->subnet_size == 0 && size > 0) {
        memcpy(q->subnet, data, size);
        q->subnet_size = size;
        return true;
    }
    return code == OPTION_COOKIE || code == OPTION_KEEPALIVE || code == OPTION_PADDING;
}

static bool read_edns(struct record *record, struct dns_question *q)
{
    q->has_edns = true;
    q->dnssec_ok = record->ttl & EDNS_DO;
    if (record->class > DNS_PLAIN_SIZE)
        q->udp_size = record->class;
    bool is_plain = (record->ttl >> 16) == 0; /* no extended code, version 0 */
    while (!record->data.failed && reader_left(&record->data))
        is_plain = read_option(&record->data, q) && is_plain;
    return is_plain && !record->data.failed;
}

static bool is_single(const struct header *h)
{
    return h->counts[0] == 1 && h->counts[1] == 0 && h->counts[2] == 0 && h->counts[3] <= 1 &&
           !(h->flags & (FLAGS_OPCODE | FLAG_TC | FLAGS_RCODE));
}

bool dns_read_question(const void *data, size_t size, struct dns_question *q)
{
    struct reader r = reader_of(data, size);
    struct header h = read_header(&r);
    *q = (struct dns_question){.id = h.id, .udp_size = DNS_PLAIN_SIZE};
    if (r.failed || h.flags & FLAG_QR || h.counts[0] == 0)
        return false;
    q->question = r.at;
    bool is_whole = skip_name(&r);
    q->question_size = (size_t)(r.at - q->question);
    uint16_t type = reader_u16(&r);
    reader_u16(&r); /* the class: any */
    q->question_size += 4;
    if (r.failed)
        return false;
    q->recursion_desired = h.flags & FLAG_RD;
    q->authentic_data = h.flags & FLAG_AD;
    q->checking_disabled = h.flags & FLAG_CD;
    q->is_plain = is_single(&h) && q->question_size <= DNS_QUESTION_MAX && is_whole &&
                  (type < TYPE_FIRST_META || type > TYPE_LAST_META);
    struct record record;
    if (q->is_plain && h.counts[3])
        q->is_plain = read_record(&r, &record) && record.type == TYPE_OPT && read_edns(&record, q);
    q->is_plain = q->is_plain && reader_done(&r);
    return true;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* The case of letters does not matter. In lengths and types there are no letters that it could
 * change: a length is below 'A', and type and class are compared as they are. */
static bool same_question(const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (i < size - 4 ? lower(a[i]) != lower(b[i]) : a[i] != b[i])
            return false;
    return true;
}

size_t dns_key(const struct dns_question *q, uint8_t key[DNS_KEY_SIZE])
{
    size_t size = q->question_size;
    for (size_t i = 0; i < size; i++)
        key[i] = i < size - 4 ? lower(q->question[i]) : q->question[i];
    key[size++] = (uint8_t)(q->recursion_desired | q->authentic_data << 1 |
                            q->checking_disabled << 2 | q->has_edns << 3 | q->dnssec_ok << 4);
    memcpy(key + size, q->subnet, q->subnet_size);
    return size + q->subnet_size;
}

/* An OPT record whose options, `size` bytes, follow. */
static void write_edns(struct writer *w, const struct dns_question *q, size_t size)
{
    writer_u8(w, 0);
    writer_u16(w, TYPE_OPT);
    writer_u16(w, DNS_FORWARDED_SIZE);
    writer_u32(w, q->dnssec_ok ? EDNS_DO : 0);
    writer_u16(w, (uint16_t)size);
}

size_t dns_write_question(const struct dns_question *q, uint16_t id, uint8_t to[DNS_WRITTEN_MAX])
{
    struct writer w = writer_of(to, DNS_WRITTEN_MAX);
    writer_u16(&w, id);
    writer_u16(&w,
               (uint16_t)((q->recursion_desired ? FLAG_RD : 0) | (q->authentic_data ? FLAG_AD : 0) |
                          (q->checking_disabled ? FLAG_CD : 0)));
    writer_u16(&w, 1);
    writer_u16(&w, 0);
    writer_u16(&w, 0);
    writer_u16(&w, q->has_edns);
    writer_bytes(&w, q->question, q->question_size);
    if (!q->has_edns)
        return writer_size(&w);
    write_edns(&w, q, q->subnet_size ? 4 + q->subnet_size : 0);
    if (q->subnet_size) {
        writer_u16(&w, OPTION_SUBNET);
        writer_u16(&w, (uint16_t)q->subnet_size);
        writer_bytes(&w, q->subnet, q->subnet_size);
    }
    return writer_size(&w);
}

/* ---- answers ------------------------------------------------------------------------------------
 */

bool dns_is_answer(const void *data, size_t size, uint16_t id, const void *question,
                   size_t question_size)
{
    struct reader r = reader_of(data, size);
    struct header h = read_header(&r);
    if (r.failed || h.id != id || !(h.flags & FLAG_QR))
        return false;
    /* A server that does not understand the question may leave it out. */
    if (h.counts[0] == 0)
        return (h.flags & FLAGS_RCODE) != 0 && reader_left(&r) == 0;
    const uint8_t *echoed = reader_bytes(&r, question_size);
    return echoed && same_question(echoed, (const uint8_t *)question, question_size);
}

/* RFC 2308 section 4: the TTL of "there is none" is the lesser of the SOA's own and its last
 * number. */
static uint32_t negative_ttl(struct record *soa)
{
    skip_name(&soa->data);
    skip_name(&soa->data);
    reader_bytes(&soa->data, 4 * 4); /* serial, refresh, retry, expire */
    uint32_t least = reader_u32(&soa->data);
    if (soa->data.failed)
        return 0;
    return least < soa->ttl ? least : soa->ttl;
}

static uint32_t at_most(uint32_t value, uint32_t most)
{
    return value < most ? value : most;
}

uint32_t dns_answer_ttl(const void *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct header h = read_header(&r);
    unsigned rcode = h.flags & FLAGS_RCODE;
    if (h.flags & (FLAG_TC | FLAGS_OPCODE) || h.counts[0] != 1 ||
        (rcode != 0 && rcode != RCODE_NO_SUCH_NAME))
        return 0;
    skip_name(&r);
    reader_u32(&r);
    uint32_t ttl = DNS_TTL_MAX_S;
    bool has_soa = false, has_records = false;
    for (int section = 1; section < 4; section++)
        for (unsigned i = 0; i < h.counts[section]; i++) {
            struct record record;
            if (!read_record(&r, &record))
                return 0;
            if (record.type == TYPE_OPT)
                continue;
            has_records = has_records || section == 1;
            /* RFC 2181 section 8: a TTL with the highest bit set is 0. */
            ttl = at_most(ttl, record.ttl > INT32_MAX ? 0 : record.ttl);
            if (section == 2 && record.type == TYPE_SOA) {
                has_soa = true;
                ttl = at_most(at_most(ttl, negative_ttl(&record)), DNS_NEGATIVE_TTL_MAX_S);
            }
        }
    bool is_negative = rcode == RCODE_NO_SUCH_NAME || !has_records;
    return r.failed || (is_negative && !has_soa) ? 0 : ttl;
}

static void put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void age_records(uint8_t *data, size_t size, uint32_t age_s)
{
    struct reader r = reader_of(data, size);
    struct header h = read_header(&r);
    unsigned count = (unsigned)h.counts[1] + h.counts[2] + h.counts[3];
    struct record record;
    skip_name(&r);
    reader_u32(&r);
    for (unsigned i = 0; i < count && read_record(&r, &record); i++) {
        if (record.type == TYPE_OPT)
            continue;
        uint32_t left = record.ttl > age_s ? record.ttl - age_s : 0;
        uint8_t *ttl = data + (record.fixed - data) + TTL_AT;
        put_u16(ttl, left >> 16);
        put_u16(ttl + 2, left & UINT16_MAX);
    }
}

size_t dns_adapt_answer(void *data, size_t size, const struct dns_question *q, uint32_t age_s)
{
    uint8_t *bytes = (uint8_t *)data;
    put_u16(bytes, q->id);
    if (size < DNS_HEADER_SIZE + q->question_size)
        return size;
    memcpy(bytes + DNS_HEADER_SIZE, q->question, q->question_size);
    if (age_s)
        age_records(bytes, size, age_s);
    if (size <= q->udp_size)
        return size;
    bytes[2] |= FLAG_TC >> 8;
    put_u16(bytes + 6, 0); /* no records but the one that says that we know EDNS */
    put_u16(bytes + 8, 0);
    put_u16(bytes + 10, q->has_edns);
    struct writer w = writer_of(bytes, size);
    writer_room(&w, DNS_HEADER_SIZE + q->question_size);
    if (q->has_edns)
        write_edns(&w, q, 0);
    return writer_size(&w);
}

size_t dns_refuse(void *data, size_t size, enum dns_refusal why)
{
    uint8_t *bytes = (uint8_t *)data;
    struct reader r = reader_of(data, size);
    struct header h = read_header(&r);
    unsigned flags = FLAG_QR | FLAG_RA | (h.flags & (FLAGS_OPCODE | FLAG_RD | FLAG_CD));
    size_t kept = DNS_HEADER_SIZE;
    switch (why) {
    case DNS_TRUNCATED:
        flags |= FLAG_TC;
        break;
    case DNS_FORMAT_ERROR:
        flags |= RCODE_FORMAT_ERROR;
        break;
    case DNS_SERVER_FAILURE:
        flags |= RCODE_SERVER_FAILURE;
        break;
    }
    skip_name(&r);
    reader_u32(&r);
    bool has_question = h.counts[0] == 1 && !r.failed && why != DNS_FORMAT_ERROR;
    if (has_question)
        kept = size - reader_left(&r);
    put_u16(bytes + 2, flags);
    put_u16(bytes + 4, has_question);
    memset(bytes + 6, 0, 6);
    return kept;
}
