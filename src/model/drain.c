#include "model/drain.h"

#include "base/utf8.h"
#include "model/json.h"

/* Whether a terminal or browser may act on the character: a control, a line end, a mark that changes the writing direction. */
static bool is_obeyed(uint32_t character)
{
    return character < 0x20 || (character >= 0x7F && character <= 0x9F) || character == 0x200E || character == 0x200F ||
           (character >= 0x2028 && character <= 0x202E) || (character >= 0x2066 && character <= 0x2069) || character == 0xFEFF;
}

void drain_clean(struct buffer *out, struct str text)
{
    size_t start = out->len;
    bool is_blank = false;
    while (text.len > 0) {
        struct str bytes;
        uint32_t character = utf8_take(&text, &bytes);
        if (character == ' ' || is_obeyed(character)) {
            is_blank = true;
            continue;
        }
        if (is_blank && out->len > start)
            buffer_append(out, STR(" "));
        is_blank = false;
        buffer_append(out, bytes);
    }
}

enum err drain_parse(struct str body, struct buffer *reason, struct faults *faults, const char **why)
{
    struct str text = {NULL, 0};
    cJSON *document;
    if (body.len == 0)
        return ERR_NONE;
    enum err err = json_parse_object(body, &document, why);
    if (err != ERR_NONE)
        return err;
    json_get_string(document, "reason", DRAIN_REASON_MAX, "reason", &text, faults);
    drain_clean(reason, text);
    cJSON_Delete(document);
    return faults->count > 0 ? ERR_INVALID : ERR_NONE;
}
