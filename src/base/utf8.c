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
