/* SPDX-License-Identifier: Apache-2.0 */
/* background.h - --daemonize and --pid-file. */
#ifndef SERVICE_BACKGROUND_H
#define SERVICE_BACKGROUND_H

#include <stdbool.h>

#include "proto/error.h"

/*
 * Go on in a child, in a session of its own; the caller's process waits and exits with the
 * status that background_ready() is given, so that whoever started us learns whether we run.
 * Returns the descriptor to tell it by, or -1 with `err`.
 */
int background_start(struct udptun_error *err);

/* Report to the waiting parent and let go of its terminal and pipes; standard error stays when
 * it is a file, for the log. The working folder stays: paths that were given may be relative. */
void background_ready(int fd, int status);

/* Write our process id. UDPTUN_E_SYSTEM. */
int pid_file_write(const char *path, struct udptun_error *err);

#endif
