/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - the daemon's log: lines of text or JSON, never waiting for whoever reads them. */
#ifndef SERVICE_LOG_H
#define SERVICE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/engine.h>

#include "daemon/platform/files.h"
#include "proto/error.h"

#define LOG_MODULES 16 /* most that there are */

#define LOG_CAUSES   32 /* that are told apart at a time */
#define LOG_BURST    50 /* most lines of one cause in LOG_WINDOW_S seconds */
#define LOG_WINDOW_S 10

/* Lines that are alike but for numbers in them. */
struct log_cause {
    uint64_t hash;
    uint64_t since_us;
    unsigned lines;    /* written since then */
    uint64_t left_out; /* and not told of yet */
};

struct log {
    struct file *file; /* NULL: standard error */
    const char *path;  /* of `file`; the caller's. NULL: standard error */
    struct log_cause causes[LOG_CAUSES];
    enum udptun_log_level level;                /* lines above it are left out ... */
    enum udptun_log_level modules[LOG_MODULES]; /* ... but of modules that have their own */
    uint32_t own_level;                         /* bit n: modules[n] holds */
    bool json;
    /* Told each line that is written, NULL: nobody. Must not log. */
    void (*tap)(void *arg, enum udptun_log_level level, const char *module, const char *text);
    void *tap_arg;
    uint64_t lost; /* lines not written since the last one that was: the reader is too slow */
};

/* Write to the file `path` from now on, NULL: to standard error. UDPTUN_OK or UDPTUN_E_SYSTEM. */
int log_open(struct log *log, const char *path, struct udptun_error *err);

/* Open the file again, because it may have been moved away. On failure the old one goes on. */
void log_reopen(struct log *log);

/* One line. `module` as in struct udptun_engine_config. Loop thread only. */
void log_write(struct log *log, enum udptun_log_level level, const char *module, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/* The level of one module; `module` NULL: of all of them. False when there is no such module. */
bool log_set_level(struct log *log, const char *module, enum udptun_log_level level);

/* "control, dialer, ..." for an error. Returns `text`. */
const char *log_module_names(char *text, size_t size);

/* The word of a level and back; parse is false for an unknown word. */
const char *log_level_name(enum udptun_log_level level);
bool log_level_parse(const char *word, enum udptun_log_level *level);

#endif
