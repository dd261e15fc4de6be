#include "base/utf8.h"

size_t utf8_length(struct str text)
{
    const unsigned char *bytes = (const unsigned char *)text.ptr;
    if (text.len == 0)
        return 0;
    if (bytes[0] < 0x80)
        return 1;
    size_t length = bytes[0] >= 0xF0 ? 4 : bytes[0] >= 0xE0 ? 3 : 2;
    bool valid = bytes[0] >= 0xC2 && bytes[0] <= 0xF4 && text.len >= length;
    for (size_t i = 1; valid && i < length; i++)
        valid = (bytes[i] & 0xC0) == 0x80;
    if (!valid || (bytes[0] == 0xE0 && bytes[1] < 0xA0) || (bytes[0] == 0xED && bytes[1] > 0x9F) ||
        (bytes[0] == 0xF0 && bytes[1] < 0x90) || (bytes[0] == 0xF4 && bytes[1] > 0x8F))
        return 0;
    return length;
}

uint32_t utf8_take(struct str *text, struct str *bytes)
{
    size_t length = utf8_length(*text);
    *bytes = (struct str){text->ptr, length > 0 ? length : 1};
    text->ptr += bytes->len;
    text->len -= bytes->len;
    uint32_t character = (unsigned char)bytes->ptr[0];
    if (length == 0)
        return 0x80;
    if (length > 1)
        character &= 0x7Fu >> length;
    for (size_t i = 1; i < length; i++)
        character = character << 6 | ((unsigned char)bytes->ptr[i] & 0x3F);
    return character;
}
