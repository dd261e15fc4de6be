#include "api/proxy_target.h"

#include "base/ascii.h"

/* Takes the next byte off the front of *text, and decodes it if it is percent-encoded. */
static char take_byte(struct str *text)
{
    char byte = text->ptr[0];
    size_t used = 1;
    if (byte == '%' && text->len >= 3 && ascii_hex_value(text->ptr[1]) >= 0 && ascii_hex_value(text->ptr[2]) >= 0) {
        byte = (char)(ascii_hex_value(text->ptr[1]) * 16 + ascii_hex_value(text->ptr[2]));
        used = 3;
    }
    *text = (struct str){text->ptr + used, text->len - used};
    return byte;
}

const char *proxy_check_path(struct str path, struct str query)
{
    size_t dots = 0, others = 0; /* characters of the present segment */
    bool is_parameter = false;   /* servers that support path parameters read "..;x" as ".." */
    if ((path.len > 0 && memchr(path.ptr, '#', path.len) != NULL) || (query.len > 0 && memchr(query.ptr, '#', query.len) != NULL))
        return "The path has a fragment (#); send the path without it, or the character as %23.";
    while (path.len > 0) {
        char byte = take_byte(&path);
        bool separates = byte == '/' || byte == '\\';
        is_parameter = is_parameter || byte == ';';
        dots += !is_parameter && byte == '.';
        others += !is_parameter && !separates && byte != '.';
        if ((separates || path.len == 0) && dots == 2 && others == 0)
            return "The path has a \"..\" segment; send the path that is meant.";
        if (separates) {
            dots = others = 0;
            is_parameter = false;
        }
    }
    return NULL;
}

void proxy_write_target(struct buffer *out, struct str base, const struct proxy_target *target)
{
    size_t before = out->len;
    buffer_append(out, base);
    buffer_append(out, target->to);
    if (target->rest.ptr != NULL || out->len == before)
        buffer_append(out, STR("/"));
    buffer_append(out, target->rest);
    if (target->query.ptr != NULL) {
        buffer_append(out, STR("?"));
        buffer_append(out, target->query);
    }
}

static bool cut_begin(struct str *text, struct str begin)
{
    if (text->len < begin.len || !str_eq_nocase((struct str){text->ptr, begin.len}, begin))
        return false;
    *text = (struct str){text->ptr + begin.len, text->len - begin.len};
    return true;
}

/* Takes `path` off the front of *text. False if *text does not begin with it, or the segment goes on after it. */
static bool cut_path(struct str *text, struct str path)
{
    if (text->len < path.len || (path.len > 0 && memcmp(text->ptr, path.ptr, path.len) != 0))
        return false;
    if (text->len > path.len && strchr("/?#", text->ptr[path.len]) == NULL)
        return false;
    *text = (struct str){text->ptr + path.len, text->len - path.len};
    return true;
}

struct str proxy_public_location(struct str location, struct str authority, struct str base, struct str to, struct str prefix,
                                 struct buffer *room)
{
    struct str rest = location, none = {NULL, 0};
    if (!cut_begin(&rest, STR("http://")) && !cut_begin(&rest, STR("https://")) && !cut_begin(&rest, STR("//")))
        return none;
    if (!cut_begin(&rest, authority) || (rest.len > 0 && strchr("/?#", rest.ptr[0]) == NULL))
        return none;
    if (!cut_path(&rest, base) || !cut_path(&rest, to))
        return none;
    size_t before = room->len;
    buffer_append(room, prefix);
    buffer_append(room, rest);
    return (struct str){room->ptr + before, room->len - before};
}
