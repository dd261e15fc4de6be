#include "base/percent.h"

#include "base/ascii.h"

bool percent_decode(struct str text, bool plus_is_space, char *room, size_t size, struct str *out)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            if (i + 2 >= text.len || ascii_hex_value(text.ptr[i + 1]) < 0 || ascii_hex_value(text.ptr[i + 2]) < 0)
                return false;
            c = (char)(ascii_hex_value(text.ptr[i + 1]) * 16 + ascii_hex_value(text.ptr[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (len >= size)
            return false;
        room[len++] = c;
    }
    *out = (struct str){room, len};
    return true;
}

void percent_encode(struct buffer *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (ascii_is_alphanumeric(text.ptr[i]) || (byte != '\0' && strchr("-._~", byte) != NULL))
            buffer_append(out, (struct str){text.ptr + i, 1});
        else
            buffer_printf(out, "%%%02X", byte);
    }
}
