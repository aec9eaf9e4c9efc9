/* SPDX-License-Identifier: Apache-2.0 */
/* line_tun.c - a TUN device in a network namespace (line_tun.h) */
#include "tests/net/line_tun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int complain(const char *what, const char *which)
{
    fprintf(stderr, "line: %s %s: %s\n", what, which, strerror(errno));
    return -1;
}

static int enter(const char *space)
{
    char path[256];
    bool is_path = strchr(space, '/') != NULL;
    int fd = -1;

    if (snprintf(path, sizeof(path), "%s%s", is_path ? "" : "/run/netns/", space) >=
        (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return complain("namespace", space);
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return complain("namespace", path);
    }
    int code = setns(fd, CLONE_NEWNET);
    if (code != 0) {
        complain("enter namespace", space);
    }
    close(fd);
    return code;
}

static bool parse_cidr(const char *text, struct in_addr *address, struct in_addr *mask)
{
    char host[64];
    unsigned length = 0;
    char end = 0;

    if (sscanf(text, "%63[0-9.]/%2u%c", host, &length, &end) != 2 || length > 32) {
        return false;
    }
    mask->s_addr = length ? htonl(UINT32_MAX << (32 - length)) : 0;
    return inet_pton(AF_INET, host, address) == 1;
}

static int set_address(int control, struct ifreq *request, unsigned long which, struct in_addr in)
{
    struct sockaddr_in value = {.sin_family = AF_INET, .sin_addr = in};
    memcpy(&request->ifr_addr, &value, sizeof(value));
    return ioctl(control, which, request);
}

/* MTU, address and IFF_UP; `control` is any socket of that namespace. */
static int bring_up(int control, const char *device, const char *address)
{
    struct ifreq request = {0};
    struct in_addr own, mask;

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    request.ifr_mtu = LINE_MTU;
    if (ioctl(control, SIOCSIFMTU, &request) != 0) {
        return complain("MTU of device", device);
    }
    if (address && !parse_cidr(address, &own, &mask)) {
        fprintf(stderr, "line: address %s: not an IPv4 address with a prefix length\n", address);
        return -1;
    }
    if (address && (set_address(control, &request, SIOCSIFADDR, own) != 0 ||
                    set_address(control, &request, SIOCSIFNETMASK, mask) != 0)) {
        return complain("address", address);
    }
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(control, SIOCSIFFLAGS, &request) != 0) {
        return complain("put up device", device);
    }
    return 0;
}

/* In the namespace that the thread is in now. */
static int create(const char *device, const char *address)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    int code = -1;

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    if (fd < 0 || control < 0) {
        complain("open", "/dev/net/tun");
    } else if (ioctl(fd, TUNSETIFF, &request) != 0) {
        complain("create device", device);
    } else {
        code = bring_up(control, device, address);
    }
    if (code != 0 && fd >= 0) {
        close(fd);
        fd = -1;
    }
    if (control >= 0) {
        close(control);
    }
    return fd;
}

int line_tun_open(const char *space, const char *device, const char *address)
{
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int fd = -1;

    if (strlen(device) >= IFNAMSIZ) {
        errno = ENAMETOOLONG;
        complain("device", device);
    } else if (home < 0) {
        complain("open", "/proc/self/ns/net");
    } else if (enter(space) == 0) {
        fd = create(device, address);
        if (setns(home, CLONE_NEWNET) != 0) {
            complain("leave namespace", space);
            exit(1); /* the next device would land in the wrong one */
        }
    }
    if (home >= 0) {
        close(home);
    }
    return fd;
}
