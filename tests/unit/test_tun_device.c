/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tun_device.c - how packets are framed on each kind of device, and how a device ends. A
 * socket pair stands in for the kernel's TUN device, whose virtio header is only bytes before the
 * packet.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/platform/loop.h"
#include "daemon/platform/posix/device_fd.h"
#ifdef __linux__
#include <linux/virtio_net.h>
#endif

static uint8_t room[PACKET_MAX_SIZE];

static void pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
}

/* One packet each way, whole and by itself; then nothing. */
static void passes(struct device *d, int peer)
{
    struct packet_offload offload;
    struct io_span parts[2] = {{(void *)(uintptr_t) "head", 4}, {(void *)(uintptr_t) "tail", 4}};
    assert_int_equal(d->ops->read(d, room, &offload), DEVICE_AGAIN);
    assert_int_equal(send(peer, "one", 3, 0), 3);
    assert_int_equal(send(peer, "twotwo", 6, 0), 6);
    assert_int_equal(d->ops->read(d, room, &offload), 3);
    assert_false(offload.checksum_is_good);
    assert_int_equal(d->ops->read(d, room, &offload), 6);
    assert_memory_equal(room, "twotwo", 6);
    assert_int_equal(d->ops->write(d, parts, 2, &(struct packet_offload){0}), 8);
    assert_int_equal(recv(peer, room, sizeof room, MSG_DONTWAIT), 8);
    assert_memory_equal(room, "headtail", 8);
}

static void a_descriptor(void **state)
{
    (void)state;
    int fds[2];
    pair(fds);
    struct device *d = device_open_fd(fds[0], 0, NULL);
    assert_non_null(d);
    assert_int_equal(d->mtu, 1500);
    passes(d, fds[1]);
    while (send(fd_device_of(d)->fd, room, 1000, MSG_DONTWAIT) > 0) /* full */
        continue;
    struct io_span part = {room, 1000};
    assert_int_equal(d->ops->write(d, &part, 1, &(struct packet_offload){0}), DEVICE_AGAIN);
    close(fds[1]);
    struct packet_offload offload;
    assert_int_equal(d->ops->read(d, room, &offload), DEVICE_LOST);
    d->ops->close(d);
    assert_null(device_open_fd(-1, 0, NULL));
}

/* Opens a descriptor that has to be refused, with a reason that has `word` in it. */
static void is_refused(int fd, const char *word)
{
    struct udptun_error err = {0};
    assert_true(fd >= 0);
    assert_null(device_open_fd(fd, 0, &err));
    assert_int_equal(err.code, UDPTUN_E_INVALID);
    assert_string_equal(err.field, "device");
    assert_non_null(strstr(err.message, word));
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was the device's, also on failure */
}

static void descriptors_that_cannot_serve_are_refused(void **state)
{
    (void)state;
    int fds[2];
    FILE *file = tmpfile();
    assert_non_null(file);
    is_refused(dup(fileno(file)), "a file");
    fclose(file);
    assert_int_equal(pipe(fds), 0);
    is_refused(fds[0], "a pipe");
    close(fds[1]);
    is_refused(open("/dev/null", O_RDWR), "not a TUN device");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    is_refused(fds[0], "packets apart");
    close(fds[1]);
    is_refused(socket(AF_UNIX, SOCK_DGRAM, 0), "without a peer");
    int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/udptun-device-XXXXXX";
    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/listener", folder);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    is_refused(listener, "listening");
    unlink(address.sun_path);
    rmdir(folder);
}

/* Four bytes before each packet, as a TUN device with packet information has them. */
static void a_prefix_is_read_and_written(void **state)
{
    (void)state;
    int fds[2];
    pair(fds);
    struct packet_offload offload;
    struct device *d = device_open_fd(fds[0], 0, NULL);
    assert_non_null(d);
    d->is_prefix_unknown = true;
    const uint8_t sent[] = {0, 0, 8, 0, 0x45, 1, 2};
    assert_int_equal(send(fds[1], sent, sizeof sent, 0), sizeof sent);
    assert_int_equal(d->ops->read(d, room, &offload), 3);
    assert_memory_equal(room, sent + 4, 3);
    assert_true(d->has_prefix);
    assert_int_equal(send(fds[1], sent, 4, 0), 4); /* nothing behind it */
    assert_int_equal(d->ops->read(d, room, &offload), DEVICE_AGAIN);
    for (unsigned version = 4; version <= 6; version += 2) {
        uint8_t packet[3] = {(uint8_t)(version << 4), 1, 2}, prefix[DEVICE_PREFIX_SIZE];
        struct io_span part = {packet, sizeof packet};
        assert_true(d->ops->write(d, &part, 1, &(struct packet_offload){0}) > 0);
        assert_int_equal(recv(fds[1], room, sizeof room, MSG_DONTWAIT), 7);
        tun_write_prefix(prefix, version == 6);
        assert_memory_equal(room, prefix, sizeof prefix);
        assert_memory_equal(room + 4, packet, sizeof packet);
    }
    for (unsigned version = 4; version <= 6; version += 2) { /* a packet that looks much like it */
        const uint8_t plain[] = {(uint8_t)(version << 4), 0, 8, 0, 9};
        d->is_prefix_unknown = true;
        d->has_prefix = false;
        assert_int_equal(send(fds[1], plain, sizeof plain, 0), sizeof plain);
        assert_int_equal(d->ops->read(d, room, &offload), sizeof plain);
        assert_memory_equal(room, plain, sizeof plain);
        assert_false(d->has_prefix || d->is_prefix_unknown);
    }
    close(fds[1]);
    d->ops->close(d);
}

static void a_pipe(void **state)
{
    (void)state;
    int peer = -1;
    struct device *d = device_open_pipe(&peer, NULL);
    assert_non_null(d);
    passes(d, peer);
    struct io_span part = {room, PACKET_MAX_SIZE}; /* the largest there is */
    assert_int_equal(d->ops->write(d, &part, 1, &(struct packet_offload){0}), PACKET_MAX_SIZE);
    assert_int_equal(recv(peer, room, sizeof room, MSG_DONTWAIT), PACKET_MAX_SIZE);
    d->ops->close(d);
    assert_int_equal(recv(peer, room, sizeof room, MSG_DONTWAIT), 0);
    close(peer);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void a_socket_takes_one_peer_after_the_other(void **state)
{
    (void)state;
    char folder[] = "/tmp/udptun-device-XXXXXX", path[64];
    struct packet_offload offload;
    struct udptun_error err = {0};
    struct io_span part = {room, 3};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/packets", folder);
    struct device *d = device_open_unix(path, 0, &err);
    assert_non_null(d);
    assert_null(device_open_unix(path, 0, &err)); /* it is in use */
    assert_int_equal(err.code, UDPTUN_E_PORT_IN_USE);
    for (int i = 0; i < 2; i++) /* that had a look whether somebody is there, and went */
        assert_int_equal(d->ops->read(d, room, &offload), DEVICE_AGAIN);
    assert_int_equal(d->ops->write(d, &part, 1, &offload), DEVICE_AGAIN); /* to nobody */

    int first = connect_to(path), second = connect_to(path);
    assert_int_equal(d->ops->read(d, room, &offload), DEVICE_AGAIN); /* takes the first */
    passes(d, first);
    assert_int_equal(send(second, "x", 1, 0), 1);
    assert_int_equal(d->ops->read(d, room, &offload), DEVICE_AGAIN);
    close(first);
    int was = fd_device_of(d)->fd;
    assert_int_equal(d->ops->read(d, room, &offload), DEVICE_AGAIN);
    assert_int_not_equal(fd_device_of(d)->fd, was); /* listens again */
    assert_int_equal(d->ops->read(d, room, &offload), DEVICE_AGAIN);
    assert_int_equal(d->ops->read(d, room, &offload), 1);
    close(second);
    d->ops->close(d);
    assert_int_equal(access(path, F_OK), -1);

    int stale = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof address), 0);
    close(stale); /* nobody is behind the path */
    d = device_open_unix(path, 0, NULL);
    assert_non_null(d);
    d->ops->close(d);
    rmdir(folder);
}

#ifdef __linux__
/* The header that TSO and checksums are handed over with. */
static void a_virtio_header(void **state)
{
    (void)state;
    int fds[2];
    struct packet_offload offload;
    pair(fds);
    struct fd_device f = {.fd = fds[0]};
    assert_int_equal(device_fd_prepare(fds[0], NULL), 0);
    struct {
        struct virtio_net_hdr header;
        uint8_t packet[100];
    } frame = {.header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM}};
    assert_int_equal(sizeof frame, sizeof frame.header + 100);
    assert_int_equal(send(fds[1], &frame, sizeof frame, 0), sizeof frame);
    assert_int_equal(tun_vnet_read(&f.base, room, &offload), 100);
    assert_true(offload.checksum_is_good);
    frame.header.flags = 0;
    assert_int_equal(send(fds[1], &frame, sizeof frame, 0), sizeof frame);
    assert_int_equal(tun_vnet_read(&f.base, room, &offload), 100);
    assert_false(offload.checksum_is_good);
    assert_int_equal(send(fds[1], &frame, sizeof frame.header, 0), sizeof frame.header);
    assert_int_equal(tun_vnet_read(&f.base, room, &offload), DEVICE_AGAIN); /* nothing behind it */
    assert_int_equal(send(fds[1], &frame, 3, 0), 3);
    assert_int_equal(tun_vnet_read(&f.base, room, &offload), DEVICE_AGAIN);

    for (unsigned version = 4; version <= 6; version += 2) {
        uint8_t head[60] = {(uint8_t)(version << 4)}, data[3000] = {0};
        uint16_t ip_size = version == 4 ? 20 : 40;
        struct io_span parts[2] = {{head, ip_size + 20u}, {data, sizeof data}};
        offload = (struct packet_offload){.checksum_wanted = true,
                                          .checksum_start = ip_size,
                                          .checksum_offset = 16,
                                          .segment_size = 1400};
        struct virtio_net_hdr *header = (struct virtio_net_hdr *)(void *)room;
        assert_true(tun_vnet_write(&f.base, parts, 2, &offload) > 0);
        assert_int_equal(recv(fds[1], room, sizeof room, MSG_DONTWAIT),
                         sizeof *header + ip_size + 20u + sizeof data);
        assert_int_equal(header->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
        assert_int_equal(header->csum_start, ip_size);
        assert_int_equal(header->csum_offset, 16);
        assert_int_equal(header->gso_type,
                         version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6);
        assert_int_equal(header->gso_size, 1400);
        assert_int_equal(header->hdr_len, ip_size + 20);
        assert_true(tun_vnet_write(&f.base, parts, 2, &(struct packet_offload){0}) > 0);
        assert_true(recv(fds[1], room, sizeof room, MSG_DONTWAIT) > 0);
        assert_int_equal(header->flags | header->gso_type | header->gso_size, 0);
    }
    struct { /* packet information comes before the virtio header */
        uint8_t prefix[DEVICE_PREFIX_SIZE];
        struct virtio_net_hdr header;
        uint8_t packet[100];
    } both = {.header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .hdr_len = 40}, .packet = {0x45, 7}};
    tun_write_prefix(both.prefix, false);
    assert_int_equal(sizeof both, sizeof frame + sizeof both.prefix);
    f.base.is_prefix_unknown = true;
    for (int i = 0; i < 2; i++) { /* the first one shows it, the next one is read as it is */
        assert_int_equal(send(fds[1], &both, sizeof both, 0), sizeof both);
        assert_int_equal(tun_vnet_read(&f.base, room, &offload), 100);
        assert_true(f.base.has_prefix && !f.base.is_prefix_unknown && offload.checksum_is_good);
        assert_memory_equal(room, both.packet, 100);
    }
    struct io_span part = {both.packet, sizeof both.packet};
    assert_true(tun_vnet_write(&f.base, &part, 1, &(struct packet_offload){0}) > 0);
    assert_int_equal(recv(fds[1], room, sizeof room, MSG_DONTWAIT), sizeof both);
    assert_memory_equal(room, both.prefix, sizeof both.prefix);
    assert_memory_equal(room + sizeof both - 100, both.packet, 100);
    close(fds[0]);
    close(fds[1]);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_descriptor),
        cmocka_unit_test(descriptors_that_cannot_serve_are_refused),
        cmocka_unit_test(a_prefix_is_read_and_written),
        cmocka_unit_test(a_pipe),
        cmocka_unit_test(a_socket_takes_one_peer_after_the_other),
#ifdef __linux__
        cmocka_unit_test(a_virtio_header),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
