/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.c - /etc/hosts, indexed.
 *
 * Lists against advertisements have a hundred thousand lines and more, so the file is not read for
 * each lookup: its text is kept with an open hash table of where the names are in it. A lookup
 * costs a stat(), which tells whether the file has changed. A large file that has changed is read
 * by a thread, which ends with that; until then the file of before counts.
 *
 * Limits: a file of MAX_SIZE, and NAMES_MAX_ADDRESSES of one name, which bounds the work for a name
 * that stands in every line.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "daemon/platform/names.h"
#include "daemon/platform/network.h"
#include "daemon/platform/posix/file_stamp.h"
#include "daemon/platform/thread.h"

#define HOSTS_PATH "/etc/hosts"

enum { MAX_SIZE = 64 * 1024 * 1024, MAX_READ_ON_LOOP = 64 * 1024 };

struct slot {
    uint32_t at; /* where the name begins in the text; 0: free, for a line begins with an address */
    uint32_t hash; /* so that the text is looked at for a likely match alone */
};

/* A file as it was read. */
struct index {
    struct file_stamp stamp;
    char *text; /* the file and a NUL */
    size_t size;
    struct slot *slots; /* NULL: there is no name */
    size_t mask;        /* slots less one, a power of two less one */
};

struct hosts {
    struct index index;
    struct thread *reader; /* NULL: none */
    struct index read;     /* the reader's until it is done */
    atomic_bool is_done;
};

/* The names of a file in its order, while it is indexed. */
struct name_list {
    struct slot *names;
    size_t count, room;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\0';
}

static bool ends_name(char c)
{
    return is_blank(c) || c == '\n' || c == '#';
}

/* FNV-1a of the lower case of what stands before the end of a name. */
static uint32_t hosts_hash_name(const char *name, const char *end, size_t *len)
{
    uint32_t hash = 0x811c9dc5;
    const char *at = name;
    for (; at < end && !ends_name(*at); at++) {
        unsigned char c = (unsigned char)*at;
        hash = (hash ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * 0x01000193;
    }
    *len = (size_t)(at - name);
    return hash ^ hash >> 15;
}

static bool is_name(const struct index *x, uint32_t at, const char *name, size_t len)
{
    return strncasecmp(x->text + at, name, len) == 0 && ends_name(x->text[at + len]);
}

static void add_name(struct index *x, const struct slot *name)
{
    size_t slot = name->hash & x->mask, same = 0;
    for (; x->slots[slot].at; slot = (slot + 1) & x->mask)
        if (x->slots[slot].hash == name->hash && ++same == NAMES_MAX_ADDRESSES)
            return;
    x->slots[slot] = *name;
}

static bool note_name(struct name_list *f, size_t at, uint32_t hash)
{
    if (f->count == f->room) {
        size_t room = f->room ? 2 * f->room : 64;
        struct slot *names = (struct slot *)realloc(f->names, room * sizeof *names);
        if (!names)
            return false;
        f->names = names;
        f->room = room;
    }
    f->names[f->count++] = (struct slot){(uint32_t)at, hash};
    return true;
}

/* Names of one line, which begins with an address and ends at `end`. */
static bool note_line(const struct index *x, const char *line, const char *end, struct name_list *f)
{
    bool is_address = true;
    while (line < end && *line != '#') {
        size_t len;
        uint32_t hash = hosts_hash_name(line, end, &len);
        if (len && !is_address && !note_name(f, (size_t)(line - x->text), hash))
            return false;
        is_address = is_address && len == 0;
        line += len ? len : 1;
    }
    return true;
}

/* Without memory for all there are no names. */
static void index_text(struct index *x)
{
    struct name_list f = {0};
    size_t slots = 16;
    bool is_whole = true;
    const char *line = x->text, *all = x->text + x->size;
    while (is_whole && line < all) {
        const char *end = (const char *)memchr(line, '\n', (size_t)(all - line));
        end = end ? end : all;
        is_whole = note_line(x, line, end, &f);
        line = end + 1;
    }
    while (slots < f.count + f.count / 2)
        slots *= 2;
    x->mask = slots - 1;
    x->slots = is_whole ? (struct slot *)calloc(slots, sizeof *x->slots) : NULL;
    for (size_t i = 0; x->slots && i < f.count; i++)
        add_name(x, &f.names[i]);
    free(f.names);
}

static void hosts_forget(struct index *x)
{
    free(x->text);
    free(x->slots);
    *x = (struct index){0};
}

static bool read_text(struct index *x, int fd, size_t size)
{
    x->text = (char *)malloc(size + 1);
    while (x->text && x->size < size) {
        ssize_t got = read(fd, x->text + x->size, size - x->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        x->size += (size_t)got;
    }
    if (x->text)
        x->text[x->size] = '\0';
    return x->text != NULL;
}

/* A file that cannot be read has no names in it. */
static void load(struct index *x)
{
    struct stat st;
    hosts_forget(x);
    x->stamp = file_stamp_at(HOSTS_PATH);
    int fd = open(HOSTS_PATH, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        x->stamp = file_stamp_of(&st);
        if (st.st_size <= MAX_SIZE && read_text(x, fd, (size_t)st.st_size))
            index_text(x);
    }
    close(fd);
}

/* The address of the line that `at` is in. */
static bool address_of_line(const struct index *x, uint32_t at, struct udptun_endpoint *ep)
{
    char ip[ENDPOINT_TEXT_SIZE];
    const char *line = x->text + at;
    while (line > x->text && line[-1] != '\n')
        line--;
    while (line < x->text + at && is_blank(*line))
        line++;
    size_t len = 0;
    while (!ends_name(line[len]))
        len++;
    if (len >= sizeof ip)
        return false;
    memcpy(ip, line, len);
    ip[len] = '\0';
    return network_parse_ip(ip, ep);
}

/* ---- the interface ------------------------------------------------------------------------- */

static void run_reader(void *arg)
{
    struct hosts *h = (struct hosts *)arg;
    load(&h->read);
    atomic_store(&h->is_done, true);
}

static void take_over(struct hosts *h)
{
    thread_join(h->reader);
    h->reader = NULL;
    hosts_forget(&h->index);
    h->index = h->read;
    h->read = (struct index){0};
}

/* Where no thread can be started the file is read here. */
static void read_again(struct hosts *h, const struct file_stamp *stamp)
{
    atomic_store(&h->is_done, false);
    if (stamp->size <= MAX_READ_ON_LOOP || thread_start(&h->reader, run_reader, h) != 0)
        load(&h->index);
}

struct hosts *hosts_new(void)
{
    struct hosts *h = (struct hosts *)calloc(1, sizeof *h);
    if (h)
        load(&h->index);
    return h;
}

void hosts_free(struct hosts *h)
{
    if (!h)
        return;
    if (h->reader)
        take_over(h);
    hosts_forget(&h->index);
    free(h);
}

size_t hosts_find(struct hosts *h, const char *name, struct udptun_endpoint *addresses, size_t max)
{
    struct file_stamp stamp = file_stamp_at(HOSTS_PATH);
    const struct index *x = &h->index;
    size_t len, count = 0;
    uint32_t hash = hosts_hash_name(name, name + strlen(name), &len);
    if (h->reader && atomic_load(&h->is_done))
        take_over(h);
    if (!h->reader && !file_stamp_equal(&stamp, &x->stamp))
        read_again(h, &stamp);
    if (!x->slots || len == 0 || name[len])
        return 0;
    for (size_t slot = hash & x->mask; x->slots[slot].at && count < max;
         slot = (slot + 1) & x->mask)
        if (x->slots[slot].hash == hash && is_name(x, x->slots[slot].at, name, len) &&
            address_of_line(x, x->slots[slot].at, &addresses[count]))
            count++;
    return count;
}
