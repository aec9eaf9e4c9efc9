/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_endpoint.c - addresses, ports and HOST:PORT as text; what parses must survive a round trip.
 */
#include "proto/endpoint.h"
#include "tests/fuzz/fuzz.h"

static void round_trip(const struct udptun_endpoint *ep)
{
    char text[ENDPOINT_TEXT_SIZE];
    struct udptun_endpoint again;
    MUST(endpoint_parse(endpoint_format(ep, text), &again));
    MUST(endpoint_equal(ep, &again));
    struct udptun_endpoint unmapped = endpoint_unmapped(ep);
    MUST(endpoint_is_loopback(ep) == endpoint_is_loopback(&unmapped));
    MUST(endpoint_is_multicast(ep) == endpoint_is_multicast(&unmapped));
    MUST(endpoint_is_link_local(ep) == endpoint_is_link_local(&unmapped));
    MUST(endpoint_is_unspecified(ep) == endpoint_is_unspecified(&unmapped));
    MUST(endpoint_is_broadcast(ep) == endpoint_is_broadcast(&unmapped));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct udptun_endpoint ep;
    if (endpoint_parse(text, &ep))
        round_trip(&ep);
    if (endpoint_parse_ip(text, &ep)) {
        MUST(ep.port == 0);
        round_trip(&ep);
    }
    for (int wildcard = 0; wildcard < 2; wildcard++) {
        struct host_port host;
        if (host_port_parse(text, wildcard != 0, &host) == NULL) {
            MUST(memchr(host.host, '\0', sizeof host.host));
            if (host.ep.family != UDPTUN_ENDPOINT_NONE) {
                MUST(host.ep.port == host.port);
                round_trip(&host.ep);
            }
            bool has_zone = host.ep.scope != 0 || endpoint_zone_name(host.host);
            host_port_drop_zone(&host);
            MUST(host.ep.scope == 0 && !endpoint_zone_name(host.host));
            MUST(!has_zone || host.ep.family == UDPTUN_ENDPOINT_IP6);
        }
    }
    uint16_t port;
    if (port_parse(text, &port)) {
        char digits[8];
        snprintf(digits, sizeof digits, "%u", port);
        MUST(atoi(text) == atoi(digits));
    }
    free(text);
    return 0;
}
