/* SPDX-License-Identifier: Apache-2.0 */
/* prompt.h - the bottom line of "udptunctl top" while it asks the user for something. */
#ifndef CONTROLLER_CLI_TOP_PROMPT_H
#define CONTROLLER_CLI_TOP_PROMPT_H

#include "controller/cli/top/model.h"

/* Begin what TOP_KEY_FILTER, TOP_KEY_CLOSE or TOP_KEY_DISABLE starts; a note says what is missing.
 */
void prompt_open(struct top_model *model, enum top_key key);

/* Returns true when the key belongs to the prompt, which then has used it. */
bool prompt_key(struct top_model *model, enum top_key key, int character);

/* Drop a wish that is not carried out. */
void wish_fini(struct top_wish *wish);

#endif
