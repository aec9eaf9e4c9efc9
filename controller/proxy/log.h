/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - ProxyController's log: a line of text each, to standard error or to a file. */
#ifndef PROXY_LOG_H
#define PROXY_LOG_H

#include "proto/error.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO };

struct log {
    int fd;
    const char *path; /* NULL: standard error */
};

int log_open(struct log *log, const char *path, struct udptun_error *err);
/* The file anew, for one that was moved away (SIGHUP). The old one goes on when it cannot be had.
 */
void log_reopen(struct log *log);
void log_write(const struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
