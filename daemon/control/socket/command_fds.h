/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_fds.h - descriptors that come with a command connection's bytes (SCM_RIGHTS).
 *
 * Descriptors belong to the message with whose first byte they were sent. A read ends with the
 * bytes that they came with, but may begin with earlier ones: so they are credited to the last
 * message that begins in the read. Those of a read in which none begins are closed.
 */
#ifndef CONTROL_COMMAND_FDS_H
#define CONTROL_COMMAND_FDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/platform/socket.h"

#define FDS_PER_MESSAGE 8
#define FDS_READS       4 /* reads with descriptors whose messages were not taken yet */

struct fds {
    unsigned count;
    udptun_socket fd[FDS_PER_MESSAGE]; /* NO_SOCKET: taken */
};

/* Descriptors that wait for their message; offsets are those of the connection's input. */
struct fds_in {
    unsigned count;
    struct fds_read {
        size_t from, to; /* the bytes of the read */
        struct fds fds;
    } reads[FDS_READS];
};

/* As socket_read() into `to`, the input's bytes from offset `at` on; descriptors are noted in `in`.
 */
int fds_receive(struct fds_in *in, udptun_socket socket, void *to, size_t size, size_t at,
                size_t *got);

/* A message was found at [begin, end) of the input; white space begins none when `json`. Its
 * descriptors move to `out`. */
void fds_take(struct fds_in *in, const uint8_t *input, size_t begin, size_t end, bool json,
              struct fds *out);

/* The first `size` bytes of the input are gone. */
void fds_shift(struct fds_in *in, size_t size);

void fds_close(struct fds *fds);
void fds_in_close(struct fds_in *in);

#endif
