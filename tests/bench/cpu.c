/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu.c - processor time of another process, from the scheduler's own accounts.
 *
 * The first number of /proc/PID/task/TID/schedstat is in nanoseconds, where utime and stime of
 * /proc/PID/stat count ticks: a relay that wakes for 3 us at a time is invisible to those.
 */
#include "tests/bench/cpu.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

uint64_t cpu_of_process_ns(int pid)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return 0;
    uint64_t sum = 0;
    for (struct dirent *task; (task = readdir(tasks));) {
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, task->d_name);
        FILE *file = fopen(path, "re");
        if (!file)
            continue; /* the thread ended in between */
        uint64_t ran;
        if (fscanf(file, "%" SCNu64, &ran) == 1)
            sum += ran;
        fclose(file);
    }
    closedir(tasks);
    return sum;
}

uint64_t clock_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
