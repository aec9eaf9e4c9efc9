/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_envelope.c - one message of the command socket, either encoding; what is understood must
 * be the same message after writing and reading it in both.
 */
#include "proto/control/peek.h"
#include "tests/fuzz/fuzz.h"

static void round_trip(const envelope_msg *message, enum encoding encoding)
{
    struct envelope_bytes bytes;
    MUST(envelope_encode(encoding, message, &bytes) == 0);
    struct udptun_error err = {0};
    envelope_msg *again = NULL;
    int code = envelope_decode(encoding, bytes.data, bytes.size, 0, &again, &err);
    if (code != 0)
        fprintf(stderr, "%s: %s\n", err.field, err.message);
    MUST(code == 0);
    MUST(codec_equal(&message->base, &again->base));
    envelope_free(again);
    free(bytes.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum encoding encoding = data[0] == 0 ? ENCODING_PROTOBUF : ENCODING_JSON;
    struct udptun_error err = {0};
    envelope_msg *message = NULL;
    int code = envelope_decode(encoding, data, size, 0, &message, &err);
    MUST(code == 0 || code == UDPTUN_E_BAD_REQUEST || code == UDPTUN_E_INVALID ||
         code == UDPTUN_E_NOMEM);
    MUST((message != NULL) == (code == 0 || code == UDPTUN_E_INVALID));
    MUST(code == 0 || err.message[0]);
    struct peek peek;
    envelope_peek(encoding, data, size, &peek);
    MUST(peek.head);
    /* What it says of a message that is understood is true. */
    if (code == 0 && message->action && strlen(message->action) < 100)
        MUST(peek.head->action && strcmp(peek.head->action, message->action) == 0);
    envelope_free(peek.head);
    if (code == 0) {
        round_trip(message, encoding);
        if (encoding == ENCODING_JSON)
            round_trip(message, ENCODING_PROTOBUF);
    }
    envelope_free(message);
    return 0;
}
