/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - settings of a whole process, for main() of a program. A library must not make them:
 * the process is the app's.
 */
#ifndef PLATFORM_PROCESS_H
#define PLATFORM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* A write to a pipe that nobody reads fails, and does not end the process. */
void process_ignore_broken_pipes(void);

/* As many descriptors as we may have: each connection of a peer is one. */
void process_raise_limits(void);

/* The allocator keeps one arena for all threads, where it has any. To be called before a thread is
 * started, by a program whose other threads allocate little. */
void process_share_arena(void);

/* The id of the user of that name. False: there is none. */
bool process_user_id(const char *name, uint32_t *id);

/* The absolute path of a file that exists; free() it. NULL: it has none, or out of memory. */
char *process_absolute_path(const char *path);

#endif
