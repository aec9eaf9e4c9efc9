/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_http_none.c - in the place of metrics_http.c where no parser of HTTP was found. */
#include <stddef.h>

#include "daemon/control/report/metrics_http.h"

struct metrics_http *metrics_http_open(struct control *control, const char *where,
                                       struct udptun_error *err)
{
    (void)control;
    (void)where;
    error_set(err, UDPTUN_E_UNSUPPORTED, NULL,
              "--metrics: built without libhttp-parser; getMetrics on the command socket has them");
    return NULL;
}

void metrics_http_close(struct metrics_http *m)
{
    (void)m;
}
