/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp_probe.c - send datagrams and check what comes back
 *
 *   udp_probe echo HOST PORT          answers every datagram with itself, until it is stopped;
 *                                     prints the port first (PORT 0: a free one)
 *   udp_probe send HOST PORT COUNT    sends COUNT datagrams of different sizes, one after the
 *                                     other, and checks that each comes back as it was
 *
 * It knows nothing of tunnels: the same program measures a path with one and without.
 * Status 0: everything came back unchanged; 1: not; 2: usage.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_DATAGRAM   65507
#define ANSWER_MS      1000 /* how long an answer is awaited before the datagram is sent again */
#define MAX_TRIES      5    /* UDP may lose; a tunnel that is just starting may drop */
#define DATAGRAM_COUNT 1000 /* the most that `send` keeps round-trip times of */

static const size_t sizes[] = {16, 64, 512, 1200, 1472, 4000, 9000, MAX_DATAGRAM};

/* A UDP socket that is bound to or connected with `host` `port`; -1 after a message. */
static int open_socket(const char *host, const char *port, int passive)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = passive ? AI_PASSIVE : 0};
    struct addrinfo *list = NULL;
    int fd = -1;
    int code = getaddrinfo(host, port, &hints, &list);

    if (code != 0) {
        fprintf(stderr, "udp_probe: %s %s: %s\n", host, port, gai_strerror(code));
        return -1;
    }
    fd = socket(list->ai_family, SOCK_DGRAM, 0);
    if (fd < 0 || (passive ? bind(fd, list->ai_addr, list->ai_addrlen)
                           : connect(fd, list->ai_addr, list->ai_addrlen)) < 0) {
        fprintf(stderr, "udp_probe: %s %s: %s\n", host, port, strerror(errno));
        if (fd >= 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static int print_port(int fd)
{
    struct sockaddr_storage bound;
    socklen_t bound_size = sizeof(bound);
    char port[NI_MAXSERV];

    if (getsockname(fd, (struct sockaddr *)&bound, &bound_size) < 0 ||
        getnameinfo((struct sockaddr *)&bound, bound_size, NULL, 0, port, sizeof(port),
                    NI_NUMERICSERV) != 0) {
        perror("udp_probe: getsockname");
        return -1;
    }
    printf("%s\n", port);
    return fflush(stdout);
}

static int run_echo(const char *host, const char *port)
{
    static uint8_t data[MAX_DATAGRAM];
    int fd = open_socket(host, port, 1);

    if (fd < 0 || print_port(fd) < 0) {
        return 1;
    }
    for (;;) {
        struct sockaddr_storage from;
        socklen_t from_size = sizeof(from);
        ssize_t got = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &from_size);

        if (got < 0 && errno != EINTR && errno != ECONNREFUSED) {
            perror("udp_probe: recvfrom");
            return 1;
        }
        if (got >= 0) {
            /* What cannot be sent back is lost, as on any network; the other end counts. */
            (void)!sendto(fd, data, (size_t)got, 0, (struct sockaddr *)&from, from_size);
        }
    }
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Number `serial` and a pattern of its own, so that no other datagram passes for it. */
static void fill(uint8_t *data, size_t size, uint32_t serial)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(serial * 131 + i * 7 + i / 251);
    }
    memcpy(data, &serial, sizeof(serial));
}

/* One datagram there and back, late answers to earlier ones passed over. 1: it came back. */
static int round_trip(int fd, const uint8_t *data, size_t size)
{
    static uint8_t answer[MAX_DATAGRAM];
    uint64_t deadline_us = now_us() + ANSWER_MS * 1000;

    if (send(fd, data, size, 0) < 0) {
        return 0;
    }
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        uint64_t at_us = now_us();
        int wait_ms = at_us < deadline_us ? (int)((deadline_us - at_us) / 1000) : 0;
        ssize_t got;

        if (poll(&ready, 1, wait_ms) <= 0) {
            return 0;
        }
        got = recv(fd, answer, sizeof(answer), 0);
        if (got < 0) {
            return 0;
        }
        if ((size_t)got == size && memcmp(answer, data, size) == 0) {
            return 1;
        }
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int run_send(const char *host, const char *port, unsigned count)
{
    static uint8_t data[MAX_DATAGRAM];
    static uint64_t rtts_us[DATAGRAM_COUNT];
    unsigned returned = 0;
    int fd = open_socket(host, port, 0);

    if (fd < 0) {
        return 1;
    }
    for (unsigned i = 0; i < count; i++) {
        size_t size = sizes[i % (sizeof(sizes) / sizeof(sizes[0]))];
        int done = 0;

        fill(data, size, i);
        for (int tries = 0; tries < MAX_TRIES && !done; tries++) {
            uint64_t start_us = now_us();

            done = round_trip(fd, data, size);
            rtts_us[returned] = now_us() - start_us;
        }
        returned += done ? 1 : 0;
    }
    close(fd);
    if (returned > 0) {
        qsort(rtts_us, returned, sizeof(rtts_us[0]), by_value);
        printf("%u of %u datagrams of %zu to %d bytes came back unchanged, median %.2f ms\n",
               returned, count, sizes[0], MAX_DATAGRAM, (double)rtts_us[returned / 2] / 1000);
    } else {
        printf("none of %u datagrams came back\n", count);
    }
    return returned == count ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "echo") == 0) {
        return run_echo(argv[2], argv[3]);
    }
    if (argc == 5 && strcmp(argv[1], "send") == 0) {
        unsigned long count = strtoul(argv[4], NULL, 10);

        if (count >= 1 && count <= DATAGRAM_COUNT) {
            return run_send(argv[2], argv[3], (unsigned)count);
        }
    }
    fprintf(stderr,
            "usage: udp_probe echo HOST PORT | udp_probe send HOST PORT COUNT\n"
            "       PORT 0 takes a free one; COUNT is 1 to %d\n",
            DATAGRAM_COUNT);
    return 2;
}
