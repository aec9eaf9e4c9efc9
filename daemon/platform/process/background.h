/* SPDX-License-Identifier: Apache-2.0 */
/*
 * background.h - --daemonize and --pid-file.
 *
 * Windows has no fork: there a service manager starts the program in the background, and
 * background_start() is UDPTUN_E_UNSUPPORTED.
 */
#ifndef PLATFORM_BACKGROUND_H
#define PLATFORM_BACKGROUND_H

#include "proto/error.h"

struct background;

/*
 * Go on in a child, in a session of its own. The caller's process waits and exits with the status
 * that background_ready() is given, so that whoever started us learns whether we run. 0 and
 * `*made`, or UDPTUN_E_SYSTEM, UDPTUN_E_NOMEM or UDPTUN_E_UNSUPPORTED with `err`.
 */
int background_start(struct background **made, struct udptun_error *err);

/* Report to the waiting parent, and with status 0 let go of its terminal and pipes; standard error
 * stays when it is a file, for the log. The working folder stays: paths that were given may be
 * relative. Frees `background`; NULL is accepted. */
void background_ready(struct background *background, int status);

/* Write our process id. UDPTUN_E_SYSTEM. */
int pid_file_write(const char *path, struct udptun_error *err);
void pid_file_remove(const char *path);

#endif
