/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prompt.c - the bottom line of "udptunctl top" while it asks the user for something: the text that
 * the rows shown contain, or whether to close a session or to disable an object. Nothing is sent
 * from here: a confirmed wish waits in the model for feed.c.
 */
#include "controller/cli/top/prompt.h"

#include <string.h>

void wish_fini(struct top_wish *wish)
{
    json_decref(wish->parameters);
    *wish = (struct top_wish){0};
}

/* The object that a key is about: the tunnel that is looked into, or the selected one. */
static const struct top_row *object_of(const struct top_model *model)
{
    return model->name ? model_tunnel(model) : rows_selected(&model->lists[TOP_TUNNELS]);
}

static void ask_to_close(struct top_model *model)
{
    const struct top_row *row = rows_selected(&model->lists[TOP_SESSIONS]);
    const struct top_row *tunnel = model_tunnel(model);
    if (model->view != TOP_SESSIONS || !row || !tunnel) {
        model_note(model, "x closes a session: select one in a server's list of sessions (s)");
        return;
    }
    model->prompt = TOP_PROMPT_CONFIRM;
    model->asked.action = "closeSession";
    model->asked.parameters = json_pack("{s:s,s:s}", "name", tunnel->key, "session", row->key);
    snprintf(model->asked.done, sizeof model->asked.done, "session %.32s is closed", row->key);
    snprintf(model->question, sizeof model->question,
             "Close session %.32s of %.64s? Its flows end. y/n", row->key, tunnel->key);
}

static void ask_to_disable(struct top_model *model)
{
    const struct top_row *row = object_of(model);
    if (!row) {
        model_note(model, "d disables or enables an object: select one");
        return;
    }
    bool disabled = strcmp(text_of(row->object, "state"), "disabled") == 0;
    bool is_tunnel = text_of(row->object, "role")[0] != '\0';
    model->prompt = TOP_PROMPT_CONFIRM;
    model->asked.action = is_tunnel ? "configureUdpTunnel" : "configureTun2socks";
    model->asked.parameters =
        json_pack("{s:s,s:b,s:b}", "name", row->key, "merge", 1, "enabled", disabled);
    snprintf(model->asked.done, sizeof model->asked.done, "%.64s is %s", row->key,
             disabled ? "enabled" : "disabled");
    snprintf(model->question, sizeof model->question, "%s %.64s?%s y/n",
             disabled ? "Enable" : "Disable", row->key, disabled ? "" : " Its flows end.");
}

void prompt_open(struct top_model *model, enum top_key key)
{
    wish_fini(&model->asked);
    if (key == TOP_KEY_FILTER)
        model->prompt = TOP_PROMPT_FILTER;
    if (key == TOP_KEY_CLOSE)
        ask_to_close(model);
    if (key == TOP_KEY_DISABLE)
        ask_to_disable(model);
}

static void prompt_answer(struct top_model *model, int character)
{
    model->prompt = TOP_PROMPT_NONE;
    if (character != 'y' && character != 'Y') {
        wish_fini(&model->asked);
        return;
    }
    wish_fini(&model->wish);
    model->wish = model->asked;
    model->asked = (struct top_wish){0};
}

/* Enter keeps the filter, Escape drops it; the rows follow each character. */
static void edit_filter(struct top_model *model, enum top_key key, int character)
{
    struct top_list *list = model_list(model);
    char filter[TOP_FILTER_SIZE];
    size_t len = strlen(list->filter);
    memcpy(filter, list->filter, len + 1);
    if (key == TOP_KEY_ENTER || (key == TOP_KEY_BACK && character != '\b')) {
        model->prompt = TOP_PROMPT_NONE;
        if (key == TOP_KEY_BACK)
            rows_filter(list, "");
        return;
    }
    if (character == '\b' && len > 0)
        filter[len - 1] = '\0';
    else if (character >= ' ' && character < 0x7f && len + 1 < sizeof filter)
        memcpy(filter + len, (char[]){(char)character, '\0'}, 2);
    rows_filter(list, filter);
}

bool prompt_key(struct top_model *model, enum top_key key, int character)
{
    switch (model->prompt) {
    case TOP_PROMPT_NONE:
        return false;
    case TOP_PROMPT_FILTER:
        edit_filter(model, key, character);
        return true;
    case TOP_PROMPT_CONFIRM:
        prompt_answer(model, character);
        return true;
    }
    return false;
}
