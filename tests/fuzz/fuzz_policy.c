/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_policy.c - CIDR[:PORT[-PORT]] rules; a rule matches its own network and ports. */
#include "daemon/engine/settings/policy.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct policy_rule rule;
    const char *cause = policy_parse_rule(text, &rule);
    if (cause) {
        MUST(cause[0] != '\0');
    } else {
        MUST(rule.net.family == UDPTUN_ENDPOINT_IP4 || rule.net.family == UDPTUN_ENDPOINT_IP6);
        MUST(rule.prefix <= (rule.net.family == UDPTUN_ENDPOINT_IP4 ? 32 : 128));
        MUST(rule.port_low <= rule.port_high);
        struct udptun_endpoint inside = rule.net;
        inside.port = rule.port_low;
        MUST(policy_rule_matches(&rule, &inside));
        inside.port = rule.port_high;
        MUST(policy_rule_matches(&rule, &inside));
        if (rule.port_high < UINT16_MAX) {
            inside.port = (uint16_t)(rule.port_high + 1);
            MUST(!policy_rule_matches(&rule, &inside));
        }
    }
    free(text);
    return 0;
}
