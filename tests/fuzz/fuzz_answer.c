/*
 * What a hostile worker answers. However the bytes are cut into pieces, the parser comes to the same end and gives the same
 * body; nothing that it accepts could be read differently by somebody else.
 */
#include "must.h"
#include "upstream/answer.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_head(void *data)
{
    (void)data;
}

static void on_body(void *data, struct str bytes)
{
    buffer_append(data, bytes);
}

static void check_head(const struct answer *answer)
{
    size_t count;
    const struct answer_header *headers = answer_headers(answer, &count);
    must(answer_status(answer) >= 100 && answer_status(answer) <= 599 && count <= ANSWER_HEADERS_MAX);
    for (size_t i = 0; i < count; i++) {
        must(headers[i].name.len > 0);
        for (size_t at = 0; at < headers[i].value.len; at++)
            must(headers[i].value.ptr[at] != '\r' && headers[i].value.ptr[at] != '\n' && headers[i].value.ptr[at] != '\0');
    }
}

/* Reads all in pieces of `size` bytes; the body is appended to *body. */
static enum answer_state read_all(struct str text, size_t size, bool is_head, bool upgrade, struct buffer *body)
{
    static const struct answer_events events = {on_head, on_body};
    struct answer *answer = answer_new(&events, body, is_head, upgrade);
    enum answer_state state = ANSWER_MORE;
    char *room = malloc(text.len + 1);
    size_t used = 0;
    while (used < text.len && state == ANSWER_MORE) {
        size_t left = text.len - used, taken;
        struct str piece = {memcpy(room, text.ptr + used, left < size ? left : size), left < size ? left : size};
        state = answer_read(answer, piece, &taken);
        must(taken <= left);
        used += taken;
    }
    if (state == ANSWER_MORE)
        state = answer_end(answer);
    must(state != ANSWER_MORE && (state == ANSWER_BAD) == (answer_fault(answer) != NULL));
    if (state != ANSWER_BAD)
        check_head(answer);
    if (state == ANSWER_DONE && !is_head && answer_status(answer) != 304 && answer_length(answer) >= 0)
        must(body->len == (size_t)answer_length(answer));
    answer_free(answer);
    free(room);
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole = BUFFER_INIT, pieces = BUFFER_INIT;
    if (size == 0)
        return 0;
    bool is_head = data[0] & 1, upgrade = data[0] & 2;
    struct str text = {(const char *)data + 1, size - 1};
    enum answer_state state = read_all(text, text.len + 1, is_head, upgrade, &whole);
    must(read_all(text, 1 + data[0] % 7, is_head, upgrade, &pieces) == state);
    must(state == ANSWER_BAD || str_eq(buffer_str(&whole), buffer_str(&pieces)));
    buffer_fini(&whole);
    buffer_fini(&pieces);
    return 0;
}
