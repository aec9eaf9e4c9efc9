/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.c - /etc/hosts, indexed.
 *
 * Lists against advertisements have a hundred thousand lines and more, so the file is not read for
 * each lookup: its text is kept with an open hash table of where the names are in it. A lookup
 * costs a stat(), which tells whether the file has changed.
 *
 * Limits: a file of MAX_SIZE, and NAMES_MAX_ADDRESSES of one name, which bounds the work for a name
 * that stands in every line.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "daemon/platform/names.h"
#include "daemon/platform/network.h"
#include "daemon/platform/posix/file_stamp.h"

#define HOSTS_PATH "/etc/hosts"

enum { MAX_SIZE = 64 * 1024 * 1024 };

struct hosts {
    struct file_stamp stamp; /* of what was read */
    char *text;              /* the file and a NUL */
    size_t size;
    uint32_t *slots; /* where a name begins in `text`; 0: free, since a line begins with an address
                      */
    size_t mask;     /* slots less one, a power of two less one */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool ends_name(char c)
{
    return is_blank(c) || c == '\n' || c == '#' || c == '\0';
}

static size_t name_len_at(const char *text)
{
    size_t len = 0;
    while (!ends_name(text[len]))
        len++;
    return len;
}

/* FNV-1a of the lower case. */
static size_t hash_name(const char *name, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint64_t)tolower((unsigned char)name[i])) * 0x100000001b3;
    return (size_t)(hash ^ hash >> 32);
}

static bool is_name(const struct hosts *h, uint32_t at, const char *name, size_t len)
{
    return strncasecmp(h->text + at, name, len) == 0 && ends_name(h->text[at + len]);
}

static void add_name(struct hosts *h, size_t at, size_t len)
{
    size_t slot = hash_name(h->text + at, len) & h->mask, same = 0;
    while (h->slots[slot]) {
        if (is_name(h, h->slots[slot], h->text + at, len) && ++same == NAMES_MAX_ADDRESSES)
            return;
        slot = (slot + 1) & h->mask;
    }
    h->slots[slot] = (uint32_t)at;
}

/* Call add_name() for the names of the file; without a table, count them. */
static size_t each_name(struct hosts *h)
{
    size_t count = 0, at = 0;
    while (at < h->size) {
        bool is_address = true;
        for (; at < h->size && h->text[at] != '\n' && h->text[at] != '#';) {
            size_t len = name_len_at(h->text + at);
            if (len && !is_address && ++count && h->slots)
                add_name(h, at, len);
            if (len)
                is_address = false;
            at += len ? len : 1;
        }
        while (at < h->size && h->text[at] != '\n')
            at++;
        at++;
    }
    return count;
}

static void forget(struct hosts *h)
{
    free(h->text);
    free(h->slots);
    *h = (struct hosts){0};
}

/* A zero byte would end the text early; it separates like a blank. */
static bool read_text(struct hosts *h, int fd, size_t size)
{
    h->text = (char *)malloc(size + 1);
    while (h->text && h->size < size) {
        ssize_t got = read(fd, h->text + h->size, size - h->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        h->size += (size_t)got;
    }
    if (!h->text)
        return false;
    for (size_t i = 0; i < h->size; i++)
        if (h->text[i] == '\0')
            h->text[i] = ' ';
    h->text[h->size] = '\0';
    return true;
}

/* A file that cannot be read has no names in it. */
static void load(struct hosts *h)
{
    struct stat st;
    int fd = open(HOSTS_PATH, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    forget(h);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        h->stamp = file_stamp_of(&st);
        if (st.st_size <= MAX_SIZE && read_text(h, fd, (size_t)st.st_size)) {
            size_t slots = 16, names = each_name(h);
            while (slots < 2 * names)
                slots *= 2;
            h->mask = slots - 1;
            h->slots = (uint32_t *)calloc(slots, sizeof *h->slots);
            if (h->slots)
                each_name(h);
        }
    }
    close(fd);
}

/* The address of the line that `at` is in. */
static bool address_of_line(const struct hosts *h, uint32_t at, struct udptun_endpoint *ep)
{
    char ip[ENDPOINT_TEXT_SIZE];
    const char *line = h->text + at;
    while (line > h->text && line[-1] != '\n')
        line--;
    while (is_blank(*line))
        line++;
    size_t len = name_len_at(line);
    if (len >= sizeof ip)
        return false;
    memcpy(ip, line, len);
    ip[len] = '\0';
    return network_parse_ip(ip, ep);
}

struct hosts *hosts_new(void)
{
    return (struct hosts *)calloc(1, sizeof(struct hosts));
}

void hosts_free(struct hosts *h)
{
    if (!h)
        return;
    forget(h);
    free(h);
}

size_t hosts_find(struct hosts *h, const char *name, struct udptun_endpoint *addresses, size_t max)
{
    struct file_stamp stamp = file_stamp_at(HOSTS_PATH);
    size_t len = strlen(name), count = 0;
    if (!file_stamp_equal(&stamp, &h->stamp))
        load(h);
    if (!h->slots || len == 0)
        return 0;
    for (size_t slot = hash_name(name, len) & h->mask; h->slots[slot] && count < max;
         slot = (slot + 1) & h->mask)
        if (is_name(h, h->slots[slot], name, len) &&
            address_of_line(h, h->slots[slot], &addresses[count]))
            count++;
    return count;
}
