/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - how much memory there is, and giving it back. */
#ifndef PLATFORM_MEMORY_H
#define PLATFORM_MEMORY_H

#include <stdint.h>

/* Bytes that this process may use: the machine's, or fewer where the system says so (a cgroup's
 * limit). 0: not known. */
uint64_t memory_available(void);

/* Give what was freed back to the system, where the allocator keeps it. Takes milliseconds. */
void memory_give_back(void);

/*
 * For a process whose memory holds keys: it writes no core dump, other processes of its user cannot
 * read its memory, and where it may lock memory without bound (RLIMIT_MEMLOCK, CAP_IPC_LOCK) its
 * pages stay out of the swap. What the system does not know is left out. A library must not: the
 * process is the app's.
 */
void memory_hide(void);

#endif
