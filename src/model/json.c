/*
 * cJSON alone is too kind to strangers: it takes broken UTF-8, ends a string at \u0000, reads 1e999 as infinity, "01" as 1, and
 * recurses a thousand levels deep. And some members are kept as text and spliced into our answers, which must stay valid JSON.
 * So a strict scanner passes over the text first, by the grammar of RFC 8259; cJSON then only builds the tree.
 */
#include "model/json.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define NUMBER_MAX 63 /* cJSON reads no longer number */
#define SUBJECT "The body "

struct scanner {
    const char *at;
    const char *end;
    int depth;
    const char *why; /* set by the first failure */
};

static bool scan_value(struct scanner *scan);

/* `why` begins with SUBJECT. */
static bool fail(struct scanner *scan, const char *why)
{
    scan->why = why;
    return false;
}

static bool fail_syntax(struct scanner *scan)
{
    return fail(scan, scan->at == scan->end ? SUBJECT "ends in the middle of its JSON." : SUBJECT "is not valid JSON.");
}

static void skip_space(struct scanner *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

/* Passes over `byte`, if it is next. */
static bool take(struct scanner *scan, char byte)
{
    if (scan->at == scan->end || *scan->at != byte)
        return false;
    scan->at++;
    return true;
}

/* The four hex digits of a \u escape; -1 when they are not there. */
static int take_hex4(struct scanner *scan)
{
    if (scan->end - scan->at < 4)
        return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = *scan->at++;
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value * 16 + (c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            value = value * 16 + (c - 'A' + 10);
        else
            return -1;
    }
    return value;
}

static bool scan_unicode_escape(struct scanner *scan)
{
    int unit = take_hex4(scan);
    if (unit < 0)
        return fail(scan, SUBJECT "has an incomplete \\u escape.");
    if (unit == 0)
        return fail(scan, SUBJECT "has a NUL character (\\u0000) in a string.");
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    if (unit < 0xDC00 && take(scan, '\\') && take(scan, 'u')) {
        int low = take_hex4(scan);
        if (low >= 0xDC00 && low <= 0xDFFF)
            return true;
    }
    return fail(scan, SUBJECT "has one half of a surrogate pair (\\ud800 to \\udfff) without the other.");
}

/* After a backslash. */
static bool scan_escape(struct scanner *scan)
{
    if (scan->at == scan->end)
        return fail_syntax(scan);
    switch (*scan->at) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        scan->at++;
        return true;
    case 'u':
        scan->at++;
        return scan_unicode_escape(scan);
    default:
        return fail(scan, SUBJECT "has an unknown escape in a string.");
    }
}

/* A character of two to four bytes, in its only valid form: no overlong ones, no surrogates, nothing above U+10FFFF. */
static bool scan_utf8(struct scanner *scan)
{
    const unsigned char *bytes = (const unsigned char *)scan->at;
    ptrdiff_t length = bytes[0] >= 0xF0 ? 4 : bytes[0] >= 0xE0 ? 3 : 2;
    bool valid = bytes[0] >= 0xC2 && bytes[0] <= 0xF4 && scan->end - scan->at >= length;
    for (ptrdiff_t i = 1; valid && i < length; i++)
        valid = (bytes[i] & 0xC0) == 0x80;
    if (!valid || (bytes[0] == 0xE0 && bytes[1] < 0xA0) || (bytes[0] == 0xED && bytes[1] > 0x9F) ||
        (bytes[0] == 0xF0 && bytes[1] < 0x90) || (bytes[0] == 0xF4 && bytes[1] > 0x8F))
        return fail(scan, SUBJECT "is not valid UTF-8.");
    scan->at += length;
    return true;
}

static bool scan_string(struct scanner *scan)
{
    if (!take(scan, '"'))
        return fail_syntax(scan);
    while (scan->at < scan->end) {
        unsigned char byte = (unsigned char)*scan->at;
        if (byte == '"') {
            scan->at++;
            return true;
        }
        if (byte < 0x20)
            return fail(scan, SUBJECT "has a control character in a string; write it as an escape.");
        if (byte == '\\') {
            scan->at++;
            if (!scan_escape(scan))
                return false;
        } else if (byte >= 0x80) {
            if (!scan_utf8(scan))
                return false;
        } else {
            scan->at++;
        }
    }
    return fail_syntax(scan);
}

static bool scan_digits(struct scanner *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > start || fail_syntax(scan);
}

/* Whether a number with an exponent fits a double. One without always does, at NUMBER_MAX characters. */
static bool is_finite_number(const char *text, size_t length)
{
    char room[NUMBER_MAX + 1];
    memcpy(room, text, length);
    room[length] = '\0';
    return isfinite(strtod(room, NULL));
}

static bool scan_number(struct scanner *scan)
{
    const char *start = scan->at;
    bool has_exponent = false;
    take(scan, '-');
    if (!take(scan, '0') && !scan_digits(scan))
        return false;
    if (take(scan, '.') && !scan_digits(scan))
        return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        has_exponent = true;
        if (!take(scan, '+'))
            take(scan, '-');
        if (!scan_digits(scan))
            return false;
    }
    size_t length = (size_t)(scan->at - start);
    if (length > NUMBER_MAX)
        return fail(scan, SUBJECT "has a number of more than 63 characters.");
    if (has_exponent && !is_finite_number(start, length))
        return fail(scan, SUBJECT "has a number that is too large.");
    return true;
}

static bool scan_word(struct scanner *scan, struct str word)
{
    for (size_t i = 0; i < word.len; i++)
        if (!take(scan, word.ptr[i]))
            return fail_syntax(scan);
    return true;
}

/* A member's name and the colon behind it; *name becomes what stands between the quotes. */
static bool scan_name(struct scanner *scan, struct str *name)
{
    const char *start = scan->at + 1;
    if (!scan_string(scan))
        return false;
    *name = (struct str){start, (size_t)(scan->at - 1 - start)};
    skip_space(scan);
    if (!take(scan, ':'))
        return fail_syntax(scan);
    skip_space(scan);
    return true;
}

static bool scan_object(struct scanner *scan)
{
    take(scan, '{');
    skip_space(scan);
    if (take(scan, '}'))
        return true;
    for (;;) {
        struct str name;
        if (!scan_name(scan, &name) || !scan_value(scan))
            return false;
        skip_space(scan);
        if (take(scan, '}'))
            return true;
        if (!take(scan, ','))
            return fail_syntax(scan);
        skip_space(scan);
    }
}

static bool scan_array(struct scanner *scan)
{
    take(scan, '[');
    skip_space(scan);
    if (take(scan, ']'))
        return true;
    for (;;) {
        if (!scan_value(scan))
            return false;
        skip_space(scan);
        if (take(scan, ']'))
            return true;
        if (!take(scan, ','))
            return fail_syntax(scan);
        skip_space(scan);
    }
}

/* Recurses, at most JSON_DEPTH_MAX deep. */
static bool scan_value(struct scanner *scan)
{
    if (scan->at == scan->end)
        return fail_syntax(scan);
    switch (*scan->at) {
    case '{':
    case '[':
        if (scan->depth == JSON_DEPTH_MAX)
            return fail(scan, SUBJECT "is nested too deeply.");
        scan->depth++;
        if (!(*scan->at == '{' ? scan_object(scan) : scan_array(scan)))
            return false;
        scan->depth--;
        return true;
    case '"':
        return scan_string(scan);
    case 't':
        return scan_word(scan, STR("true"));
    case 'f':
        return scan_word(scan, STR("false"));
    case 'n':
        return scan_word(scan, STR("null"));
    default:
        return scan_number(scan);
    }
}

static bool scan_document(struct scanner *scan)
{
    if (scan->end - scan->at >= 3 && memcmp(scan->at, "\xEF\xBB\xBF", 3) == 0)
        return fail(scan, SUBJECT "begins with a byte order mark; send plain UTF-8.");
    skip_space(scan);
    if (scan->at == scan->end)
        return fail(scan, SUBJECT "is empty; it must be a JSON object.");
    if (*scan->at != '{')
        return fail(scan, SUBJECT "must be a JSON object.");
    if (!scan_value(scan))
        return false;
    skip_space(scan);
    return scan->at == scan->end || fail(scan, SUBJECT "has something behind its JSON object.");
}

bool json_find_fault(struct str text, const char **place, const char **why)
{
    struct scanner scan = {text.ptr, text.ptr + text.len, 0, NULL};
    if (scan_document(&scan))
        return false;
    *place = scan.at;
    *why = scan.why + strlen(SUBJECT);
    return true;
}

bool json_is_utf8(struct str text)
{
    struct scanner scan = {text.ptr, text.ptr + text.len, 0, NULL};
    while (scan.at < scan.end) {
        if ((unsigned char)*scan.at < 0x80)
            scan.at++;
        else if (!scan_utf8(&scan))
            return false;
    }
    return true;
}

enum err json_check_object(struct str text, const char **why)
{
    struct scanner scan = {text.ptr, text.ptr != NULL ? text.ptr + text.len : NULL, 0, NULL};
    if (scan_document(&scan))
        return ERR_NONE;
    *why = scan.why;
    return ERR_BAD_REQUEST;
}

enum err json_parse_object(struct str text, cJSON **document, const char **why)
{
    enum err err = json_check_object(text, why);
    if (err != ERR_NONE)
        return err;
    cJSON *parsed = cJSON_ParseWithLength(text.ptr, text.len);
    if (parsed == NULL) { /* the fuzzers found no text that the scanner lets pass and cJSON does not; no reason to trust that */
        *why = "The body is JSON that this server can't read.";
        return ERR_BAD_REQUEST;
    }
    *document = parsed;
    return ERR_NONE;
}

/* The next character of a name: a byte as it is, or what an escape means. */
static int take_character(struct scanner *scan)
{
    static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    int byte = (unsigned char)*scan->at++;
    if (byte != '\\')
        return byte;
    byte = (unsigned char)*scan->at++;
    const char *letter = strchr(letters, byte);
    return byte == 'u' ? take_hex4(scan) : letter != NULL ? meanings[letter - letters] : byte;
}

/* Whether a name as it stands in the text, escapes and all, is `name`, which is ASCII: cJSON compares what it decoded. */
static bool name_is(struct str raw, const char *name)
{
    struct scanner scan = {raw.ptr, raw.ptr + raw.len, 0, NULL};
    for (; scan.at < scan.end; name++)
        if (*name == '\0' || take_character(&scan) != (unsigned char)*name)
            return false;
    return *name == '\0';
}

struct json_items json_items(struct str text)
{
    struct scanner scan = {text.ptr, text.ptr + text.len, 0, NULL};
    skip_space(&scan);
    bool has_names = take(&scan, '{');
    if (!has_names && !take(&scan, '['))
        scan.at = scan.end;
    skip_space(&scan);
    return (struct json_items){scan.at, scan.end, has_names};
}

bool json_next(struct json_items *items, struct json_item *item)
{
    struct scanner scan = {items->at, items->end, 0, NULL};
    *item = (struct json_item){{NULL, 0}, {NULL, 0}};
    if (scan.at == scan.end || *scan.at == '}' || *scan.at == ']')
        return false;
    if (items->has_names && !scan_name(&scan, &item->name))
        return false;
    const char *value = scan.at;
    if (!scan_value(&scan))
        return false;
    item->value = (struct str){value, (size_t)(scan.at - value)};
    skip_space(&scan);
    take(&scan, ',');
    skip_space(&scan);
    items->at = scan.at;
    return true;
}

struct str json_member_text(struct str text, const char *name)
{
    struct json_items items = json_items(text);
    struct json_item item;
    while (json_next(&items, &item))
        if (name_is(item.name, name))
            return item.value;
    return (struct str){NULL, 0};
}

/* The member, unless it is absent, which null means too. */
static const cJSON *find_member(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return item != NULL && !cJSON_IsNull(item) ? item : NULL;
}

void json_get_string(const cJSON *object, const char *name, size_t max, const char *field, struct str *out, struct faults *faults)
{
    const cJSON *item = find_member(object, name);
    if (item == NULL)
        return;
    struct str text = cJSON_IsString(item) ? str_from(item->valuestring) : (struct str){NULL, 0};
    if (text.ptr == NULL)
        faults_add(faults, field, "must be a string");
    else if (text.len > max)
        faults_add(faults, field, "must be at most %zu bytes long", max);
    else
        *out = text;
}

void json_get_number(const cJSON *object, const char *name, double low, double high, const char *field, double *out,
                     struct faults *faults)
{
    const cJSON *item = find_member(object, name);
    if (item == NULL)
        return;
    double number = item->valuedouble;
    if (!cJSON_IsNumber(item))
        faults_add(faults, field, "must be a number");
    else if (number < low && isinf(high))
        faults_add(faults, field, "must be %.15g or more", low);
    else if (number < low || number > high)
        faults_add(faults, field, "must be from %.15g to %.15g", low, high);
    else
        *out = number == 0 ? 0 : number; /* no negative zero */
}

void json_get_bool(const cJSON *object, const char *name, const char *field, bool *out, struct faults *faults)
{
    const cJSON *item = find_member(object, name);
    if (item == NULL)
        return;
    if (!cJSON_IsBool(item))
        faults_add(faults, field, "must be true or false");
    else
        *out = cJSON_IsTrue(item);
}
