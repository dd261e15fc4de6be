/*
 * A body in chunks is the same however it is cut into pieces, and libh2o's parser, which is lax, reads the same of what ours
 * lets pass.
 */
#include "base/chunks.h"
#include "must.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* picohttpparser, as libh2o exports it. */
struct phr_chunked_decoder {
    size_t bytes_left_in_chunk;
    char consume_trailer;
    char hex_count;
    char state;
};
ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *bytes, size_t *len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes `size` bytes, `piece` at a time. Returns the body's length; the body is at the front of `room`. */
static size_t take(const uint8_t *data, size_t size, size_t piece, char *room, size_t *used, enum chunks_state *state)
{
    struct chunks chunks = {.state = CHUNKS_SIZE};
    size_t body = 0, taken;
    *used = 0;
    while (*used < size && chunks.state != CHUNKS_END && chunks.state != CHUNKS_BROKEN) {
        size_t len = piece < size - *used ? piece : size - *used;
        char *copy = malloc(len);
        memcpy(copy, data + *used, len);
        size_t found = chunks_decode(&chunks, copy, len, &taken);
        must(found <= taken && taken <= len);
        memcpy(room + body, copy, found);
        free(copy);
        body += found;
        *used += taken;
    }
    *state = chunks.state;
    return body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *whole = malloc(size + 1), *pieces = malloc(size + 1), *lax = malloc(size + 1);
    enum chunks_state state, again;
    size_t used, used_again;
    size_t body = take(data, size, size + 1, whole, &used, &state);
    static const size_t lengths[] = {1, 2, 7, 64};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        must(take(data, size, lengths[i], pieces, &used_again, &again) == body);
        must(again == state && used_again == used && memcmp(whole, pieces, body) == 0);
    }
    if (state == CHUNKS_END) {
        struct phr_chunked_decoder decoder = {.consume_trailer = 1};
        size_t len = size;
        memcpy(lax, data, size);
        ssize_t left = phr_decode_chunked(&decoder, lax, &len);
        must(left >= 0 && (size_t)left == size - used && len == body && memcmp(lax, whole, body) == 0);
    }
    free(whole);
    free(pieces);
    free(lax);
    return 0;
}
