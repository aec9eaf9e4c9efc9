/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - what parse.c found, asked for by name. */
#include "controller/cli/cli.h"

const char *option_text(const struct cli *cli, const char *name)
{
    return json_string_value(json_object_get(cli->options, name));
}

int64_t option_integer(const struct cli *cli, const char *name, int64_t fallback)
{
    const json_t *value = json_object_get(cli->options, name);
    return value ? json_integer_value(value) : fallback;
}

double option_seconds(const struct cli *cli, const char *name, double fallback)
{
    const json_t *value = json_object_get(cli->options, name);
    return value ? json_number_value(value) : fallback;
}

bool option_given(const struct cli *cli, const char *name)
{
    return json_object_get(cli->options, name) != NULL;
}

bool option_bool(const struct cli *cli, const char *name)
{
    return json_is_true(json_object_get(cli->options, name));
}
