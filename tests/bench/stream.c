/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - bulk TCP for the benchmark of tun2socks.
 *
 *   bench_stream sink ADDRESS PORT              a SOCKS5 proxy whose every target is itself: it
 *                                               takes what comes, or sends without end
 *   bench_stream load ADDRESS PORT up|down FLOWS SECONDS [socks]
 *                                               prints Mbit/s over the time; with "socks" the sink
 *                                               is spoken to as a proxy, as tun2socks does
 *   bench_stream idle ADDRESS PORT FLOWS        opens flows, says so, holds them until its standard
 *                                               input ends
 *
 * The first byte of a stream says its direction. One thread a stream, large blocking calls: what
 * is measured lies between.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 20, MOST_FLOWS = 64, STACK_BYTES = 64 * 1024 };

static _Atomic uint64_t total_bytes;
static atomic_bool is_over;

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in address_of(char **argv)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    long port = strtol(argv[1], NULL, 10);
    if (inet_pton(AF_INET, argv[0], &sa.sin_addr) != 1 || port < 1 || port > 65535) {
        fprintf(stderr, "bench_stream: %s %s is no address and port\n", argv[0], argv[1]);
        exit(2);
    }
    sa.sin_port = htons((uint16_t)port);
    return sa;
}

static bool read_all(int fd, void *to, size_t size)
{
    return recv(fd, to, size, MSG_WAITALL) == (ssize_t)size;
}

static uint64_t pump_in(int fd, uint8_t *buffer)
{
    uint64_t sum = 0;
    ssize_t got;
    while ((got = recv(fd, buffer, PIECE, 0)) > 0) {
        sum += (uint64_t)got;
        if (!is_over)
            total_bytes += (uint64_t)got;
    }
    return sum;
}

static void pump_out(int fd, const uint8_t *buffer)
{
    ssize_t sent;
    while (!is_over && (sent = send(fd, buffer, PIECE, MSG_NOSIGNAL)) > 0)
        total_bytes += (uint64_t)sent;
}

static uint8_t *new_buffer(void)
{
    uint8_t *buffer = calloc(1, PIECE);
    if (!buffer)
        die("bench_stream");
    return buffer;
}

/* ---- sink */

static bool greet(int fd)
{
    uint8_t head[4], rest[262];
    const uint8_t method[2] = {5, 0}, reply[10] = {5, 0, 0, 1};
    if (!read_all(fd, head, 2) || !read_all(fd, rest, head[1]) || send(fd, method, 2, 0) != 2 ||
        !read_all(fd, head, 4))
        return false;
    size_t size = head[3] == 1 ? 6 : head[3] == 4 ? 18 : 0;
    return size && read_all(fd, rest, size) && send(fd, reply, 10, 0) == 10;
}

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    uint8_t direction;
    if (greet(fd) && read_all(fd, &direction, 1)) {
        uint8_t *buffer = new_buffer();
        if (direction == 'u')
            pump_in(fd, buffer);
        else
            pump_out(fd, buffer);
        free(buffer);
    }
    close(fd);
    return NULL;
}

static void start(void *(*run)(void *), void *arg, pthread_t *thread)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (pthread_create(thread, &attributes, run, arg) != 0)
        die("bench_stream: thread");
    pthread_attr_destroy(&attributes);
}

static _Noreturn void sink(char **argv)
{
    struct sockaddr_in sa = address_of(argv);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 4096) < 0)
        die("bench_stream: listen");
    for (;;) {
        pthread_t thread;
        int stream = accept(fd, NULL, NULL);
        if (stream < 0)
            die("bench_stream: accept");
        start(serve, (void *)(intptr_t)stream, &thread);
        pthread_detach(thread);
    }
}

/* ---- load */

static int open_stream(const struct sockaddr_in *sa, bool is_socks)
{
    const uint8_t greeting[3] = {5, 1, 0};
    const uint8_t request[10] = {5, 1, 0, 1, 192, 0, 2, 1, 0, 9};
    uint8_t answer[12];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)sa, sizeof *sa) < 0)
        die("bench_stream: connect");
    if (is_socks && (send(fd, greeting, 3, 0) != 3 || !read_all(fd, answer, 2) ||
                     send(fd, request, 10, 0) != 10 || !read_all(fd, answer, 10)))
        die("bench_stream: proxy");
    return fd;
}

static void *upload(void *arg)
{
    uint8_t *buffer = new_buffer();
    pump_out((int)(intptr_t)arg, buffer);
    free(buffer);
    return NULL;
}

static void *download(void *arg)
{
    uint8_t *buffer = new_buffer();
    pump_in((int)(intptr_t)arg, buffer);
    free(buffer);
    return NULL;
}

static int load(int argc, char **argv)
{
    struct sockaddr_in sa = address_of(argv);
    bool is_up = strcmp(argv[2], "up") == 0, is_socks = argc > 5;
    int flows = atoi(argv[3]), fds[MOST_FLOWS];
    double seconds = strtod(argv[4], NULL);
    pthread_t threads[MOST_FLOWS];
    if (flows < 1 || flows > MOST_FLOWS || seconds <= 0) {
        fprintf(stderr, "bench_stream: 1 to %d flows, some time\n", MOST_FLOWS);
        return 2;
    }
    for (int i = 0; i < flows; i++) {
        fds[i] = open_stream(&sa, is_socks);
        if (send(fds[i], is_up ? "u" : "d", 1, 0) != 1)
            die("bench_stream: send");
        start(is_up ? upload : download, (void *)(intptr_t)fds[i], &threads[i]);
    }
    struct timespec begin, end, settle = {.tv_nsec = 300000000};
    nanosleep(&settle, NULL); /* windows have opened */
    clock_gettime(CLOCK_MONOTONIC, &begin);
    uint64_t before = total_bytes;
    struct timespec wait = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&wait, NULL);
    uint64_t after = total_bytes;
    clock_gettime(CLOCK_MONOTONIC, &end);
    double took = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("%.1f\n", (double)(after - before) * 8 / took / 1e6);
    fflush(stdout);
    is_over = true;
    for (int i = 0; i < flows; i++)
        shutdown(fds[i], SHUT_RDWR);
    for (int i = 0; i < flows; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static int idle(char **argv)
{
    struct sockaddr_in sa = address_of(argv);
    int flows = atoi(argv[2]);
    for (int i = 0; i < flows; i++)
        (void)open_stream(&sa, false);
    printf("open\n");
    fflush(stdout);
    while (getchar() != EOF)
        continue;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "sink") == 0)
        sink(argv + 2);
    if (argc >= 7 && strcmp(argv[1], "load") == 0)
        return load(argc - 2, argv + 2);
    if (argc == 5 && strcmp(argv[1], "idle") == 0)
        return idle(argv + 2);
    fprintf(stderr, "usage: bench_stream sink|load|idle ADDRESS PORT ...\n");
    return 2;
}
