/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.c - see dispatch.h. Every check that the action table can express is made here, so
 * that a handler is only called by who may, with parameters of the right kind. */
#include "daemon/control/socket/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/control/socket/command_socket.h"
#include "daemon/control/store/state.h"
#include "daemon/platform/clock.h"
#include "daemon/platform/local.h"
#include "daemon/platform/result.h"
#include "proto/control/peek.h"

static const struct {
    size_t values, containers, text;
} loads[] = {
    [LOAD_SMALL] = {256, 64, (size_t)16 << 10},
    [LOAD_OBJECT] = {DISPATCH_MAX_VALUES, 64, SCAN_MAX_SIZE},
    [LOAD_OBJECTS] = {DISPATCH_MAX_VALUES, DISPATCH_MAX_CONTAINERS, SCAN_MAX_SIZE},
};

/* An answer about `request` (NULL: about nothing that could be read). */
static struct envelope_bytes encode_error(enum encoding encoding, const envelope_msg *request,
                                          const struct udptun_error *given)
{
    struct udptun_error plain = *given, *err = &plain;
    codec_make_utf8(plain.message); /* both may have been cut inside a character */
    codec_make_utf8(plain.field);
    envelope_msg reply = UDPTUN__CONTROL__ENVELOPE__INIT;
    error_msg error = UDPTUN__CONTROL__ERROR__INIT;
    if (request) {
        reply.action = request->action;
        reply.id = request->id;
    }
    /* Codes without a number of their own on the wire are UNEXPECTED there. */
    int code = err->code <= -200 ? UDPTUN_E_UNEXPECTED : err->code;
    reply.has_status_code = 1;
    reply.status_code = (uint32_t)-code;
    reply.error_message = (char *)(uintptr_t)err->message;
    reply.error = &error;
    error.code = (char *)(uintptr_t)error_name(code);
    error.field = err->field[0] ? (char *)(uintptr_t)err->field : NULL;
    error.errno_ = (char *)(uintptr_t)io_name(err->sys_errno);
    struct envelope_bytes bytes;
    envelope_encode(encoding, &reply, &bytes);
    return bytes;
}

struct envelope_bytes dispatch_error(const struct command_conn *conn, int code, const char *why)
{
    struct udptun_error err;
    error_set(&err, code, NULL, "%s", why);
    return encode_error(conn->scan.encoding, NULL, &err);
}

struct envelope_bytes dispatch_refusal(int code, const char *why)
{
    struct udptun_error err;
    error_set(&err, code, NULL, "%s", why);
    return encode_error(ENCODING_JSON, NULL, &err);
}

static void call_free(struct call *call)
{
    list_remove(&call->aside);
    envelope_free(call->request);
    fds_close(&call->fds);
    if (call->none)
        protobuf_c_message_free_unpacked(call->none, NULL);
    free(call);
}

static void dispatch_answer(struct call *call, struct envelope_bytes bytes)
{
    struct command_conn *conn = call->conn;
    bool is_aside = !list_empty(&call->aside);
    call_free(call);
    if (!conn)
        free(bytes.data);
    else if (is_aside)
        command_conn_reply_aside(conn, bytes);
    else
        command_conn_reply(conn, bytes);
}

void call_return(struct call *call, const return_msg *value)
{
    envelope_msg reply = UDPTUN__CONTROL__ENVELOPE__INIT;
    reply.action = call->request->action;
    reply.id = call->request->id;
    reply.has_status_code = 1;
    reply.return_value = (return_msg *)(uintptr_t)value;
    struct envelope_bytes bytes = {NULL, 0};
    if (call->conn)
        envelope_encode(call->conn->scan.encoding, &reply, &bytes);
    dispatch_answer(call, bytes);
}

void call_fail(struct call *call, const struct udptun_error *err)
{
    log_write(call->control->log, UDPTUN_LOG_DEBUG, "control", "%s: %s", call->action->name,
              err->message);
    struct envelope_bytes bytes = {NULL, 0};
    if (call->conn && list_empty(&call->aside))
        call->conn->refused = true;
    if (call->conn)
        bytes = encode_error(call->conn->scan.encoding, call->request, err);
    dispatch_answer(call, bytes);
}

void call_step_aside(struct call *call)
{
    struct command_conn *conn = call->conn;
    if (!conn || !call->request->id)
        return;
    list_append(&conn->aside, &call->aside);
    command_conn_go_on(conn);
}

void call_abandon(struct call *call)
{
    call->conn = NULL;
    list_remove(&call->aside);
    if (call->give_up)
        call->give_up(call, call->give_up_arg);
}

/* The parameters of the request, or an empty message where there are none. */
static int find_parameters(struct call *call, struct udptun_error *err)
{
    const parameters_msg *all = call->request->parameters;
    const ProtobufCFieldDescriptor *member = all ? codec_union_member(&all->base) : NULL;
    char name[CODEC_NAME_SIZE];
    if (!member) {
        call->parameters = call->none = codec_new(call->action->parameters);
        return call->none ? 0 : error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    }
    if (strcmp(codec_json_name(member->name, name), call->action->name) != 0)
        return error_set(err, UDPTUN_E_INVALID, "parameters", "parameters: those of %s", name);
    /* All members of this union are pointers to messages. */
    call->parameters = (const ProtobufCMessage *)all->hello;
    return 0;
}

static int check_required(const struct call *call, struct udptun_error *err)
{
    const struct action *action = call->action;
    for (size_t i = 0; i < sizeof action->required / sizeof *action->required; i++) {
        const char *name = action->required[i];
        if (!name || codec_has(call->parameters, codec_field(action->parameters, name)))
            continue;
        char field[CODEC_NAME_SIZE + 16];
        snprintf(field, sizeof field, "parameters.%s", name);
        return error_set(err, UDPTUN_E_INVALID, field, "%s: is missing", field);
    }
    return 0;
}

/* Whatever a reply has is no part of a request. */
static int check_envelope(const envelope_msg *request, struct udptun_error *err)
{
    for (unsigned i = 0; i < request->base.descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &request->base.descriptor->fields[i];
        char name[CODEC_NAME_SIZE];
        if (codec_has(&request->base, field) && strcmp(field->name, "action") != 0 &&
            strcmp(field->name, "id") != 0 && strcmp(field->name, "parameters") != 0 &&
            strcmp(field->name, "deadline") != 0) {
            codec_json_name(field->name, name);
            return error_set(err, UDPTUN_E_INVALID, name, "%s: no part of a request", name);
        }
    }
    return 0;
}

static int check_role(enum role role, const struct action *action, struct udptun_error *err)
{
    if (role >= action->role)
        return 0;
    return error_set(err, UDPTUN_E_PERMISSION, NULL, "%s: needs the role %s, you have %s",
                     action->name, role_name(action->role), role_name(role));
}

static int unknown_action(const char *name, struct udptun_error *err)
{
    return error_set(err, UDPTUN_E_BAD_REQUEST, "action", "action: '%.64s' is unknown", name);
}

bool call_is_void(const struct call *call)
{
    const envelope_msg *request = call->request;
    return request->has_deadline && (!call->conn || clock_us() / 1000 >= request->deadline);
}

int call_void_error(const struct call *call, struct udptun_error *err)
{
    return error_set(err, UDPTUN_E_TIMEOUT, "deadline",
                     "deadline: %s was not begun in time, and is not carried out",
                     call->action->name);
}

/* A message that lay in the socket while this process stood still may be from a client that has
 * given it up since. */
static int check_deadline(const struct call *call, struct udptun_error *err)
{
    bool has_gone = call->request->has_deadline && local_is_gone(call->conn->io.socket);
    return has_gone || call_is_void(call) ? call_void_error(call, err) : 0;
}

static int check_call(struct call *call, struct udptun_error *err)
{
    const struct action *action = call->action;
    int rc = check_envelope(call->request, err);
    if (call->control->stopping) /* the engine may be half gone */
        rc = error_set(err, UDPTUN_E_UNEXPECTED, NULL, "the daemon is stopping");
    if (rc == 0)
        rc = check_role(call->role, action, err);
    if (rc == 0)
        rc = check_deadline(call, err);
    if (rc == 0)
        rc = find_parameters(call, err);
    if (rc == 0)
        rc = check_required(call, err);
    if (rc == 0 && !action->handle)
        rc = error_set(err, UDPTUN_E_UNSUPPORTED, NULL, "%s: not supported by this version",
                       action->name);
    return rc;
}

/* Decode; on success `*action` is that of the request. */
static int read_request(const struct command_conn *conn, const uint8_t *data, size_t size,
                        envelope_msg **request, const struct action **action,
                        struct udptun_error *err)
{
    int rc = envelope_decode(conn->scan.encoding, data, size, 0, request, err);
    envelope_msg *r = *request;
    if (r && r->id && r->id->value_case == UDPTUN__CONTROL__ID__VALUE_TEXT &&
        strlen(r->id->text) > DISPATCH_ID_SIZE) {
        udptun__control__id__free_unpacked(r->id, NULL);
        r->id = NULL;
        if (rc == 0)
            rc = error_set(err, UDPTUN_E_INVALID, "id", "id: longer than %d bytes",
                           DISPATCH_ID_SIZE);
    }
    if (r && !r->action)
        return error_set(err, UDPTUN_E_BAD_REQUEST, "action", "action: a string is required");
    *action = r ? conn->server->control->find_action(r->action) : NULL;
    if (r && !*action)
        return unknown_action(r->action, err);
    return rc;
}

static int too_much(size_t limit, const char *what, struct udptun_error *err)
{
    return error_set(err, UDPTUN_E_INVALID, "parameters", "parameters: more than %zu %s", limit,
                     what);
}

/* Before anything is built of the message: its sender may call the action, and it has no more in it
 * than the action can use. `head` has the action and the id. */
static int check_peek(const struct command_conn *conn, const struct peek *peek,
                      struct udptun_error *err)
{
    const char *name = peek->head ? peek->head->action : NULL;
    const struct action *action = name ? conn->server->control->find_action(name) : NULL;
    enum load load = action ? action->load : LOAD_SMALL;
    if (action && check_role(conn->peer.role, action, err) < 0)
        return err->code;
    if (name && !action)
        return unknown_action(name, err);
    if (peek->values > loads[load].values)
        return too_much(loads[load].values, "values", err);
    if (peek->containers > loads[load].containers)
        return too_much(loads[load].containers, "objects and lists", err);
    if (peek->text > loads[load].text)
        return too_much(loads[load].text, "bytes of text", err);
    return 0;
}

/* Answer what is not taken; frees `request` and closes what came with it. */
static void dispatch_refuse(struct command_conn *conn, envelope_msg *request, struct fds *fds,
                            const struct udptun_error *err)
{
    struct envelope_bytes bytes = encode_error(conn->scan.encoding, request, err);
    envelope_free(request);
    fds_close(fds);
    conn->refused = true;
    command_conn_reply(conn, bytes);
}

static void dispatch_take(struct command_conn *conn, envelope_msg *request,
                          const struct action *action, struct fds *fds)
{
    struct udptun_error err = {0};
    struct call *call = calloc(1, sizeof *call);
    if (!call) {
        error_set(&err, UDPTUN_E_NOMEM, NULL, "out of memory");
        dispatch_refuse(conn, request, fds, &err);
        return;
    }
    *call = (struct call){.control = conn->server->control,
                          .conn = conn,
                          .action = action,
                          .role = conn->peer.role,
                          .fds = *fds,
                          .request = request};
    list_init(&call->aside);
    conn->call = call;
    if (check_call(call, &err) < 0)
        call_fail(call, &err);
    else
        action->handle(call);
}

void dispatch_message(struct command_conn *conn, const uint8_t *data, size_t size, struct fds *fds)
{
    struct udptun_error err = {0};
    envelope_msg *request = NULL;
    const struct action *action = NULL;
    struct peek peek;
    envelope_peek(conn->scan.encoding, data, size, &peek);
    if (check_peek(conn, &peek, &err) < 0) {
        dispatch_refuse(conn, peek.head, fds, &err);
        return;
    }
    envelope_free(peek.head);
    if (read_request(conn, data, size, &request, &action, &err) < 0)
        dispatch_refuse(conn, request, fds, &err);
    else
        dispatch_take(conn, request, action, fds);
}
