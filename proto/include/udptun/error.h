/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.h - the one list of error codes, and the text that goes with one.
 *
 * Every function of this project that can fail returns 0 or a negative code from here. A code
 * is the negated statusCode of the command socket, so no table translates between the two.
 */
#ifndef UDPTUN_ERROR_H
#define UDPTUN_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(symbol, value, name on the wire, text) */
#define UDPTUN_CODES(X)                                                                            \
    X(UDPTUN_OK, 0, "OK", "success")                                                               \
    X(UDPTUN_E_UNEXPECTED, -1, "UNEXPECTED", "unexpected failure")                                 \
    X(UDPTUN_E_PERMISSION, -2, "PERMISSION_DENIED", "permission denied")                           \
    X(UDPTUN_E_AUTH, -3, "AUTH_FAILED", "authentication failed")                                   \
    X(UDPTUN_E_UNREACHABLE, -5, "UNREACHABLE", "unreachable")                                      \
    X(UDPTUN_E_INVALID, -7, "INVALID_PARAM", "invalid parameter")                                  \
    X(UDPTUN_E_ROUTING, -9, "ROUTING_FAILED", "routing failed")                                    \
    X(UDPTUN_E_SYSTEM, -12, "SYSTEM_MISCONFIGURED", "system misconfigured")                        \
    X(UDPTUN_E_NOT_FOUND, -100, "NOT_FOUND", "not found")                                          \
    X(UDPTUN_E_EXISTS, -101, "ALREADY_EXISTS", "already exists")                                   \
    X(UDPTUN_E_CONFLICT, -102, "CONFLICT", "in use or held by another")                            \
    X(UDPTUN_E_LIMIT, -103, "LIMIT", "limit reached")                                              \
    X(UDPTUN_E_PORT_IN_USE, -104, "PORT_IN_USE", "port in use")                                    \
    X(UDPTUN_E_UNSUPPORTED, -105, "UNSUPPORTED", "not supported")                                  \
    X(UDPTUN_E_TIMEOUT, -106, "TIMEOUT", "timed out")                                              \
    X(UDPTUN_E_BAD_REQUEST, -107, "BAD_REQUEST", "bad request")                                    \
    X(UDPTUN_E_NOMEM, -200, "UNEXPECTED", "out of memory")                                         \
    X(UDPTUN_E_CANCELLED, -201, "UNEXPECTED", "cancelled")

enum udptun_code {
#define UDPTUN_CODE_ENUM(symbol, value, name, text) symbol = (value),
    UDPTUN_CODES(UDPTUN_CODE_ENUM)
#undef UDPTUN_CODE_ENUM
};

/* What went wrong, for a person and for a program. Plain data: copy it freely. */
struct udptun_error {
    int code;          /* enum udptun_code */
    int sys_errno;     /* errno of the call that failed, 0 when no call did */
    char field[64];    /* the parameter at fault ("listen"), "" when there is none */
    char message[256]; /* "listen: 127.0.0.1:5353 is in use" */
};

#ifdef __cplusplus
}
#endif

#endif
