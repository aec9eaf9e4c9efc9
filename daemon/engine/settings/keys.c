/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - the shared key from its file. */
#include "daemon/engine/settings/tunnel_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/error.h"

/* A key in base64 is 44 characters; the rest is room for white space. */
enum { FILE_MAX = 256 };

static int read_all(int fd, char *text, size_t size, size_t *used)
{
    *used = 0;
    while (*used < size) {
        ssize_t got = read(fd, text + *used, size - *used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        *used += (size_t)got;
    }
    return 0;
}

static int decode(const char *path, const char *text, size_t size, uint8_t key[UDPT_KEY_SIZE],
                  struct udptun_error *err)
{
    size_t key_size = 0;
    const char *end = NULL;
    if (size == 0)
        return error_set(err, UDPTUN_E_INVALID, "keyFile", "keyFile: '%s' is empty", path);
    if (sodium_base642bin(key, UDPT_KEY_SIZE, text, size, " \t\r\n", &key_size, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != text + size)
        return error_set(err, UDPTUN_E_INVALID, "keyFile",
                         "keyFile: '%s' does not hold 32 bytes in base64", path);
    if (key_size != UDPT_KEY_SIZE)
        return error_set(err, UDPTUN_E_INVALID, "keyFile",
                         "keyFile: '%s' holds %zu bytes in base64 instead of 32", path, key_size);
    return UDPTUN_OK;
}

int key_file_read(const char *path, uint8_t key[UDPT_KEY_SIZE], bool *exposed,
                  struct udptun_error *err)
{
    char text[FILE_MAX];
    size_t used = 0;
    struct stat info;
    int code;
    /* O_NONBLOCK: a FIFO without a writer must not hold up the loop. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info) != 0) {
        code = error_set_errno(err, errno == EACCES ? UDPTUN_E_PERMISSION : UDPTUN_E_INVALID, errno,
                               "keyFile", "keyFile: cannot open '%s'", path);
        goto done;
    }
    int failed = read_all(fd, text, sizeof text, &used);
    if (failed) {
        code = error_set_errno(err, UDPTUN_E_INVALID, failed, "keyFile",
                               "keyFile: cannot read '%s'", path);
        goto done;
    }
    *exposed = S_ISREG(info.st_mode) && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    code = decode(path, text, used, key, err);
done:
    if (fd >= 0)
        close(fd);
    sodium_memzero(text, sizeof text);
    return code;
}

int udptun_read_key(const char *path, uint8_t key[UDPT_KEY_SIZE], bool *exposed,
                    struct udptun_error *err)
{
    bool others = false;
    int code = key_file_read(path, key, &others, err);
    if (exposed)
        *exposed = others;
    return code;
}
