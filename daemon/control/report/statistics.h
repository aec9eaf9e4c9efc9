/* SPDX-License-Identifier: Apache-2.0 */
/*
 * statistics.h - every statistic once: its field in the status, its metric, unit and help.
 *
 * Status objects have the field, metrics.c writes the metric from that very status, and
 * docs/metrics.md is this table in words; a test compares all three.
 */
#ifndef CONTROL_STATISTICS_H
#define CONTROL_STATISTICS_H

#include <stddef.h>

enum statistic_type {
    STATISTIC_COUNTER, /* only grows; the metric's name ends in _total */
    STATISTIC_GAUGE,
};

struct statistic {
    const char *field;  /* of TunnelStatus or Tun2socksStatus in control.proto. A number; a message
                           of numbers: one each, with the label `cause`; repeated: how many;
                           "connections.rtt_ms": a number of each, with the label `connection` */
    const char *metric; /* of OpenMetrics, without _total; ends with the unit */
    enum statistic_type type;
    const char *unit; /* "bytes", "seconds", "" */
    double scale;     /* of the field's number to the metric's */
    const char *help;
};

extern const struct statistic statistics_of_tunnel[];
extern const size_t statistics_of_tunnel_count;
extern const struct statistic statistics_of_tun2socks[];
extern const size_t statistics_of_tun2socks_count;

#endif
