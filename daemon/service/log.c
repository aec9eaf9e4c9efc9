/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - see log.h. A pipe that nobody empties must not stop the event loop: a line is written
 * only where there is room for it, and lines left out are counted and told with the next one. A
 * cause that goes on and on must not bury the others: of each LOG_BURST lines are written in
 * LOG_WINDOW_S seconds, and the next one after them says how many there were. */
#include "daemon/service/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/platform/clock.h"
#include "daemon/platform/result.h"
#include "proto/control/json.h"

#define LINE_SIZE 1024 /* below PIPE_BUF: a pipe takes it whole or not at all */

static const char *const level_names[] = {
    [UDPTUN_LOG_ERROR] = "error",
    [UDPTUN_LOG_WARN] = "warn",
    [UDPTUN_LOG_INFO] = "info",
    [UDPTUN_LOG_DEBUG] = "debug",
};

/* Of the daemon, and of the engine as <udptun/engine.h> names them. */
static const char *const module_names[] = {"control", "dialer", "local",  "log",    "main",
                                           "metrics", "policy", "server", "socks5", "tun2socks"};
#define MODULE_COUNT (sizeof module_names / sizeof *module_names)
static_assert(MODULE_COUNT <= LOG_MODULES, "struct log has room for each module");

static size_t find_module(const char *module)
{
    size_t i = 0;
    while (i < MODULE_COUNT && strcmp(module_names[i], module) != 0)
        i++;
    return i;
}

bool log_set_level(struct log *log, const char *module, enum udptun_log_level level)
{
    if (!module) {
        log->level = level;
        log->own_level = 0;
        return true;
    }
    size_t i = find_module(module);
    if (i == MODULE_COUNT)
        return false;
    log->modules[i] = level;
    log->own_level |= UINT32_C(1) << i;
    return true;
}

const char *log_module_names(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < MODULE_COUNT && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", module_names[i]);
    return text;
}

static bool is_wanted(const struct log *log, enum udptun_log_level level, const char *module)
{
    size_t i = log->own_level ? find_module(module) : MODULE_COUNT;
    bool own = i < MODULE_COUNT && (log->own_level >> i & 1);
    return level <= (own ? log->modules[i] : log->level);
}

const char *log_level_name(enum udptun_log_level level)
{
    return level_names[level];
}

bool log_level_parse(const char *word, enum udptun_log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(level_names[i], word) == 0) {
            *level = (enum udptun_log_level)i;
            return true;
        }
    }
    return false;
}

int log_open(struct log *log, const char *path, struct udptun_error *err)
{
    log->file = NULL;
    log->path = path;
    int failure = path ? file_open_log(path, &log->file) : 0;
    if (failure)
        return error_set_errno(err, UDPTUN_E_SYSTEM, failure, NULL, "log file %s", path);
    return UDPTUN_OK;
}

void log_reopen(struct log *log)
{
    if (!log->path)
        return;
    struct file *file;
    char text[IO_TEXT_SIZE];
    int failure = file_open_log(log->path, &file);
    if (failure) {
        log_write(log, UDPTUN_LOG_WARN, "log", "log file %s: %s", log->path,
                  io_text(failure, text));
        return;
    }
    file_close(log->file);
    log->file = file;
}

static void log_put(struct log *log, const char *line, size_t size)
{
    if (file_offer(log->file, line, size) != 0)
        log->lost++;
}

static size_t as_json(char line[LINE_SIZE], enum udptun_log_level level, const char *module,
                      const char *text)
{
    json_t *json = json_pack("{s:f, s:s, s:s, s:s}", "time", (double)clock_wall_us() / 1e6, "level",
                             log_level_name(level), "module", module, "message", text);
    char *dumped = json ? json_text(json, JSON_COMPACT | JSON_REAL_PRECISION(14)) : NULL;
    json_decref(json);
    if (!dumped || strlen(dumped) + 2 > LINE_SIZE) {
        free(dumped);
        return 0;
    }
    int size = snprintf(line, LINE_SIZE, "%s\n", dumped);
    free(dumped);
    return (size_t)size;
}

static size_t as_text(char line[LINE_SIZE], enum udptun_log_level level, const char *module,
                      const char *text)
{
    char when[CLOCK_TEXT_SIZE];
    int size = snprintf(line, LINE_SIZE, "%s %-5s %s: %s", clock_wall_text(when),
                        log_level_name(level), module, text);
    size_t used = size < LINE_SIZE - 1 ? (size_t)size : LINE_SIZE - 2;
    line[used] = '\n';
    return used + 1;
}

static void write_line(struct log *log, enum udptun_log_level level, const char *module,
                       const char *text)
{
    char line[LINE_SIZE];
    size_t size = log->json ? as_json(line, level, module, text) : 0;
    if (size == 0)
        size = as_text(line, level, module, text);
    log_put(log, line, size);
}

/* One line is one event: what others put into names and errors must not forge another. */
static void keep_printable(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
    }
}

/* FNV-1a, over everything but digits. */
static uint64_t log_hash_of(const char *module, const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    const char *const parts[] = {module, text};
    for (size_t i = 0; i < 2; i++) {
        for (const char *at = parts[i]; *at; at++) {
            if (*at < '0' || *at > '9')
                hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
        }
    }
    return hash;
}

/* Whether this line may be written; `*left_out` tells how many like it were not. */
static bool is_in_time(struct log *log, const char *module, const char *text, uint64_t *left_out)
{
    uint64_t now_us = clock_us();
    uint64_t hash = log_hash_of(module, text);
    struct log_cause *cause = &log->causes[hash % LOG_CAUSES];
    *left_out = 0;
    if (cause->hash != hash) {
        *cause = (struct log_cause){.hash = hash, .since_us = now_us, .lines = 1};
        return true;
    }
    if (now_us - cause->since_us >= LOG_WINDOW_S * UINT64_C(1000000)) {
        *left_out = cause->left_out;
        *cause = (struct log_cause){.hash = hash, .since_us = now_us};
    }
    if (cause->lines >= LOG_BURST) {
        cause->left_out++;
        return false;
    }
    cause->lines++;
    return true;
}

void log_write(struct log *log, enum udptun_log_level level, const char *module, const char *format,
               ...)
{
    if (!is_wanted(log, level, module))
        return;
    char text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    keep_printable(text);
    uint64_t left_out;
    if (level != UDPTUN_LOG_DEBUG && !is_in_time(log, module, text, &left_out))
        return;
    if (level != UDPTUN_LOG_DEBUG && left_out > 0) {
        char note[64];
        snprintf(note, sizeof note, "%llu similar messages suppressed",
                 (unsigned long long)left_out);
        write_line(log, UDPTUN_LOG_WARN, "log", note);
    }
    if (log->lost > 0) {
        char note[64];
        snprintf(note, sizeof note, "%llu lines lost", (unsigned long long)log->lost);
        uint64_t before = log->lost;
        log->lost = 0;
        write_line(log, UDPTUN_LOG_WARN, "log", note);
        if (log->lost > 0)
            log->lost = before; /* still no room */
    }
    write_line(log, level, module, text);
    if (log->tap)
        log->tap(log->tap_arg, level, module, text);
}
