/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_url.c - URLs of tunnel objects; the first byte is the set of kinds that is asked for. */
#include "daemon/engine/settings/url.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned kinds = data[0] & (URL_HOST_PORT | URL_UDP | URL_SOCKS5 | URL_HTTP | URL_UNIX |
                                URL_APP | URL_WILDCARD);
    char *text = fuzz_text(data + 1, size - 1);
    struct url url, again;
    static const struct url zero;
    memset(&url, 0xa5, sizeof url);
    const char *cause = url_parse(text, kinds, &url);
    if (cause) {
        MUST(cause[0] != '\0');
        MUST(memcmp(&url, &zero, sizeof url) == 0);
    } else {
        char shown[URL_TEXT_SIZE];
        MUST(url.kind != URL_NONE && (kinds & url.kind) == (unsigned)url.kind);
        MUST(memchr(url_format(&url, shown), '\0', sizeof shown));
        MUST(url.has_user || (url.user[0] == '\0' && url.password[0] == '\0'));
        /* What is shown names the same place, without the user. */
        MUST(url_parse(shown, (unsigned)url.kind, &again) == NULL);
        MUST(!again.has_user);
        again.has_user = url.has_user;
        memcpy(again.user, url.user, sizeof again.user);
        memcpy(again.password, url.password, sizeof again.password);
        MUST(url_equal(&url, &again));
    }
    free(text);
    return 0;
}
