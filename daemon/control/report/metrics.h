/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - the status as OpenMetrics text. */
#ifndef CONTROL_METRICS_H
#define CONTROL_METRICS_H

#include "proto/control/messages.h"

#define METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* free() it; NULL when memory is short. */
char *metrics_text(const status_msg *status);

#endif
