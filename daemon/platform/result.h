/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result.h - what the system answered, in words that are the same on every system.
 *
 * A function of the platform that can fail returns 0 or the system's own error number (errno, on
 * Windows GetLastError() or WSAGetLastError()), which is kept for the message and the log. Nobody
 * above the platform compares that number with anything: io_of() says what it means. result.c has
 * the only switch over error numbers.
 */
#ifndef PLATFORM_RESULT_H
#define PLATFORM_RESULT_H

#include <stdbool.h>

#include "proto/error.h"

enum io {
    IO_OK,
    IO_AGAIN,            /* not now: wait until the socket is ready. Interrupted calls and full
                            buffers are this as well */
    IO_REFUSED,          /* nobody listens there; for a datagram: port unreachable */
    IO_HOST_UNREACHABLE, /* the network's own answer */
    IO_NET_UNREACHABLE,  /* no route, here or on the way */
    IO_TIMED_OUT,
    IO_RESET,      /* the other side broke the connection off */
    IO_CLOSED,     /* the other side reads no more */
    IO_ABORTED,    /* a connection that ended before it was accepted */
    IO_TOO_BIG,    /* for one datagram */
    IO_DENIED,     /* not allowed, by the system or by its firewall */
    IO_IN_USE,     /* the address or the name is taken */
    IO_NO_ADDRESS, /* not an address of this host */
    IO_NO_FAMILY,  /* this host has no such kind of address */
    IO_NO_DEVICE,  /* no such network interface */
    IO_NOT_FOUND,  /* no such file, or part of its path */
    IO_BAD_NAME,   /* too long to be the name of a file or socket */
    IO_FULL,       /* no more descriptors, for this process or the host */
    IO_NO_MEMORY,
    IO_UNSUPPORTED, /* this system cannot do it */
    IO_INVALID,     /* the system does not take what it was given */
    IO_PROTOCOL,    /* what came is not of the protocol that was expected */
    IO_FAILED,      /* anything else */
};

/* What a system's error number means; 0 is IO_OK. */
enum io io_of(int os_error);

/* The error number of a call of the C library that has just failed: fopen(), fgets(), fflush(). */
int io_last(void);

/* An error number of the system's that means `what`, for a failure that no call reported. */
int io_error(enum io what);

/* UDPTUN_OK or the code of <udptun/error.h> for a failure of the kind. */
int io_code(enum io what);

/* Whether the host ran out of something that may be there again in a while. */
static inline bool io_is_shortage(enum io what)
{
    return what == IO_FULL || what == IO_NO_MEMORY;
}

/* The system's name of an error number, "EADDRINUSE", and back: what the command socket carries.
 * NULL and 0 where there is none. */
const char *io_name(int os_error);
int io_by_name(const char *name);

/* The text of an error number for the end of a clause: "connection refused". Returns `text`. */
#define IO_TEXT_SIZE ERRNO_TEXT_SIZE
char *io_text(int os_error, char text[IO_TEXT_SIZE]);

#endif
