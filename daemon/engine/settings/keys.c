/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - the shared key from its file. */
#include "daemon/engine/settings/tunnel_settings.h"

#include <sodium.h>

#include "daemon/platform/files.h"
#include "daemon/platform/result.h"

/* A key in base64 is 44 characters; the rest is room for white space. */
enum { FILE_MAX = 256 };

static int keys_decode(const char *path, const char *text, size_t size,
                       uint8_t key[UDPTUN_MACHINE_KEY_SIZE], struct udptun_error *err)
{
    size_t key_size = 0;
    const char *end = NULL;
    if (size == 0)
        return error_set(err, UDPTUN_E_INVALID, "keyFile", "keyFile: '%s' is empty", path);
    if (sodium_base642bin(key, UDPTUN_MACHINE_KEY_SIZE, text, size, " \t\r\n", &key_size, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != text + size)
        return error_set(err, UDPTUN_E_INVALID, "keyFile",
                         "keyFile: '%s' does not hold 32 bytes in base64", path);
    if (key_size != UDPTUN_MACHINE_KEY_SIZE)
        return error_set(err, UDPTUN_E_INVALID, "keyFile",
                         "keyFile: '%s' holds %zu bytes in base64 instead of 32", path, key_size);
    return UDPTUN_OK;
}

int key_file_read(const char *path, uint8_t key[UDPTUN_MACHINE_KEY_SIZE], bool *exposed,
                  struct udptun_error *err)
{
    char text[FILE_MAX];
    size_t used = 0;
    int failure = file_read_secret(path, text, sizeof text, &used, exposed), code;
    if (failure) {
        bool is_denied = io_of(failure) == IO_DENIED;
        code = error_set_errno(err, is_denied ? UDPTUN_E_PERMISSION : UDPTUN_E_INVALID, failure,
                               "keyFile", "keyFile: cannot read '%s'", path);
    } else {
        code = keys_decode(path, text, used, key, err);
    }
    sodium_memzero(text, sizeof text);
    return code;
}

int udptun_read_key(const char *path, uint8_t key[UDPTUN_MACHINE_KEY_SIZE], bool *exposed,
                    struct udptun_error *err)
{
    bool others = false;
    int code = key_file_read(path, key, &others, err);
    if (exposed)
        *exposed = others;
    return code;
}
