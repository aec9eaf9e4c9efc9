/* SPDX-License-Identifier: Apache-2.0 */
/* config_file.h - the config file. */
#ifndef CONTROL_CONFIG_FILE_H
#define CONTROL_CONFIG_FILE_H

#include "proto/control/messages.h"
#include "proto/error.h"

/*
 * Read the file and check every object in it. `*out` is freed by
 * protobuf_c_message_free_unpacked(). UDPTUN_E_BAD_REQUEST (not JSON), UDPTUN_E_INVALID or
 * UDPTUN_E_UNSUPPORTED with the file's name, and line or field, in the message; UDPTUN_E_NOT_FOUND
 * and UDPTUN_E_SYSTEM when it cannot be read.
 */
int config_file_load(const char *path, config_msg **out, struct udptun_error *err);

/* Puts "FILE: FIELD: " before the message of an error about an object of the file, the field said
 * once. Returns its code. */
int config_file_error(const char *path, struct udptun_error *err);

/* As above of a config that was read: names are unique, every object is right, what
 * one names is there. The field of an error is its path in the config. */
int config_check(const config_msg *config, struct udptun_error *err);

#endif
