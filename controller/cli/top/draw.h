/* SPDX-License-Identifier: Apache-2.0 */
/* draw.h - the model of "udptunctl top" on the screen. */
#ifndef CONTROLLER_CLI_TOP_DRAW_H
#define CONTROLLER_CLI_TOP_DRAW_H

#include "controller/cli/top/model.h"

/* The whole picture. The model is told how many rows there was room for. */
void draw(struct top_model *model);

#endif
