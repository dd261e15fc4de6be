#include "auth/base64.h"

static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(struct buffer *out, const void *bytes, size_t size)
{
    const unsigned char *in = bytes;
    for (size_t at = 0; at < size; at += 3) {
        size_t count = size - at < 3 ? size - at : 3;
        unsigned group = (unsigned)in[at] << 16 | (count > 1 ? (unsigned)in[at + 1] << 8 : 0) | (count > 2 ? in[at + 2] : 0);
        char *text = buffer_reserve(out, count + 1);
        for (size_t i = 0; i <= count; i++)
            text[i] = url_safe[group >> (18 - 6 * i) & 63];
        out->len += count + 1;
    }
}

/* Returns the value of a character, -1: it has none. `c62` and `c63` are the characters of the values 62 and 63. */
static int value_of(char c, char c62, char c63)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == c62 ? 62 : c == c63 ? 63 : -1;
}

static bool decode_text(struct str text, char c62, char c63, unsigned char *room, size_t size, size_t *len)
{
    unsigned bits = 0, held = 0; /* the last `held` bits of `bits` are not yet a whole byte */
    size_t written = 0;
    if (text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(text.ptr[i], c62, c63);
        if (value < 0)
            return false;
        bits = bits << 6 | (unsigned)value;
        held += 6;
        if (held < 8)
            continue;
        if (written == size)
            return false;
        held -= 8;
        room[written++] = (unsigned char)(bits >> held);
        bits &= (1U << held) - 1;
    }
    if (bits != 0)
        return false;
    *len = written;
    return true;
}

bool base64url_decode(struct str text, void *room, size_t size, size_t *len)
{
    return decode_text(text, '-', '_', room, size, len);
}

bool base64_decode(struct str text, void *room, size_t size, size_t *len)
{
    if (text.len % 4 != 0)
        return false;
    for (int padding = 0; padding < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; padding++)
        text.len--;
    return decode_text(text, '+', '/', room, size, len);
}
