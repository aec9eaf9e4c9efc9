/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_http.h - the metrics for whoever asks by HTTP, on TCP or a Unix socket. */
#ifndef CONTROL_METRICS_HTTP_H
#define CONTROL_METRICS_HTTP_H

#include "proto/error.h"

struct control;
struct metrics_http;

/*
 * Listen on `where`, "HOST:PORT" with an address of loopback or "unix:PATH". NULL and `err`:
 * UDPTUN_E_INVALID (no such place), UDPTUN_E_PORT_IN_USE, UDPTUN_E_CONFLICT, UDPTUN_E_SYSTEM,
 * UDPTUN_E_NOMEM, UDPTUN_E_UNSUPPORTED (built without a parser of HTTP).
 */
struct metrics_http *metrics_http_open(struct control *control, const char *where,
                                       struct udptun_error *err);

/* NULL is accepted. */
void metrics_http_close(struct metrics_http *m);

#endif
