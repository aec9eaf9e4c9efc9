/* SPDX-License-Identifier: Apache-2.0 */
/* cpu.h - processor time of another process, from the scheduler's own accounts. */
#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include <stdint.h>

/* Nanoseconds that all threads of `pid` have run so far; 0 when the process is gone. */
uint64_t cpu_of_process_ns(int pid);

/* CLOCK_MONOTONIC. */
uint64_t clock_now_ns(void);

#endif
