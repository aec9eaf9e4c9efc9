/* SPDX-License-Identifier: Apache-2.0 */
/* traffic_file.h - the settings of configureRouting as JSON, in messages and in the file that
 * outlives a crash. */
#ifndef PROXY_TRAFFIC_FILE_H
#define PROXY_TRAFFIC_FILE_H

#include <jansson.h>

#include "controller/proxy/traffic.h"

/* From the parameters of configureRouting; those that are not known are left alone. 0, or
 * UDPTUN_E_INVALID with the field. */
int traffic_settings_read(const json_t *parameters, struct traffic_settings *settings,
                          struct udptun_error *err);

/* An address without its port. Returns `text`. */
const char *traffic_format_ip(const struct udptun_endpoint *ip, char text[ENDPOINT_TEXT_SIZE]);

int traffic_file_write(const char *path, const struct traffic_settings *settings,
                       struct udptun_error *err);
/* False: there is none that can be used. */
bool traffic_file_read(const char *path, struct traffic_settings *settings);

#endif
