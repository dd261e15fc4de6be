/*
 * cJSON alone is too lax for texts of strangers: it accepts broken UTF-8, ends a string at \u0000, reads 1e999 as infinity and "01"
 * as 1, and recurses a thousand levels deep. Some members are kept as text and copied into our answers, which must stay valid JSON.
 * So this strict scanner checks the text first, by the grammar of RFC 8259, and cJSON then only builds the tree. If a body is read
 * with patience, the scanner makes a copy in which null replaces each value that can't be used, and names these values.
 */
#include "model/json_scan.h"

#include "base/utf8.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_MAX 63 /* characters; cJSON reads no longer numbers */
#define SUBJECT JSON_SUBJECT
#define TOO_DEEP SUBJECT "is nested too deeply."

/* Fails. `why` begins with SUBJECT. */
static bool fail(struct scanner *scan, const char *why)
{
    scan->why = why;
    return false;
}

static bool fail_syntax(struct scanner *scan)
{
    return fail(scan, scan->at == scan->end ? SUBJECT "ends in the middle of its JSON." : SUBJECT "is not valid JSON.");
}

/* Writes a place as clients know it: "capabilities.gpus[1].memory". Returns the length, which is less than `size`. */
static size_t write_place(const struct json_place *place, char *room, size_t size)
{
    if (place == NULL)
        return 0;
    struct str name = place->name.len > 0 ? place->name : STR("\"\"");
    size_t len = write_place(place->outer, room, size);
    int more = place->name.ptr == NULL ? snprintf(room + len, size - len, "[%zu]", place->index)
                                       : snprintf(room + len, size - len, "%s%.*s", len > 0 ? "." : "", STR_PRINTF(name));
    return len + (size_t)more < size ? len + (size_t)more : size - 1;
}

/*
 * Handles text that can't be used, from `start` to scan->at. A scanner with `patience` writes `instead` in its place to the copy,
 * and goes on; others fail. `why` begins with SUBJECT.
 */
static bool mend(struct scanner *scan, enum json_patience patience, const char *start, struct str instead, const char *why)
{
    struct mending *mending = scan->mending;
    if (scan->patience < patience)
        return fail(scan, why);
    if (mending == NULL)
        return true;
    buffer_append(mending->text, (struct str){mending->copied, (size_t)(start - mending->copied)});
    buffer_append(mending->text, instead);
    mending->copied = scan->at;
    char field[sizeof(((struct fault *)NULL)->field)] = "";
    write_place(scan->place, field, sizeof(field));
    why += strlen(SUBJECT);
    faults_add(mending->ignored, field, "%.*s", (int)strlen(why) - 1, why); /* without the full stop */
    return true;
}

void scan_space(struct scanner *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

/* Passes over `byte`, if it is next. */
bool scan_take(struct scanner *scan, char byte)
{
    if (scan->at == scan->end || *scan->at != byte)
        return false;
    scan->at++;
    return true;
}

/* Reads the four hex digits of a \u escape; -1 if they are not there. */
int scan_hex4(struct scanner *scan)
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

/* Notes why the current string can't be used. With patience the scanner goes on to its end; else it fails. */
static bool spare(struct scanner *scan, const char *why)
{
    if (scan->patience < JSON_PATIENT)
        return fail(scan, why);
    scan->unusable = why;
    return true;
}

static bool scan_unicode_escape(struct scanner *scan)
{
    int unit = scan_hex4(scan);
    if (unit < 0)
        return fail(scan, SUBJECT "has an incomplete \\u escape.");
    if (unit == 0)
        return spare(scan, SUBJECT "has a NUL character (\\u0000) in a string.");
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    const char *behind = scan->at;
    if (unit < 0xDC00 && scan_take(scan, '\\') && scan_take(scan, 'u')) {
        int low = scan_hex4(scan);
        if (low >= 0xDC00 && low <= 0xDFFF)
            return true;
    }
    scan->at = behind;
    return spare(scan, SUBJECT "has one half of a surrogate pair (\\ud800 to \\udfff) without the other.");
}

/* Reads an escape after its backslash. */
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

/* Reads a character that is not ASCII. */
static bool scan_utf8(struct scanner *scan)
{
    size_t length = utf8_length((struct str){scan->at, (size_t)(scan->end - scan->at)});
    scan->at += length;
    return length > 0 || fail(scan, SUBJECT "is not valid UTF-8.");
}

/* Reads a string. The caller must look at scan->unusable. */
static bool scan_string(struct scanner *scan)
{
    scan->unusable = NULL;
    if (!scan_take(scan, '"'))
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

static bool scan_word(struct scanner *scan, struct str word)
{
    for (size_t i = 0; i < word.len; i++)
        if (!scan_take(scan, word.ptr[i]))
            return fail_syntax(scan);
    return true;
}

/* Reads NaN or Infinity, after the sign, if there is one. */
static bool scan_no_number(struct scanner *scan, const char *start)
{
    if (!scan_word(scan, *scan->at == 'N' ? STR("NaN") : STR("Infinity")))
        return false;
    return mend(scan, JSON_NAN, start, STR("null"), SUBJECT "must be a number, which NaN and Infinity are not.");
}

static bool scan_number(struct scanner *scan)
{
    const char *start = scan->at;
    bool has_exponent = false;
    scan_take(scan, '-');
    if (scan->patience >= JSON_NAN && scan->at < scan->end && *scan->at == 'I')
        return scan_no_number(scan, start);
    if (!scan_take(scan, '0') && !scan_digits(scan))
        return false;
    if (scan_take(scan, '.') && !scan_digits(scan))
        return false;
    if (scan_take(scan, 'e') || scan_take(scan, 'E')) {
        has_exponent = true;
        if (!scan_take(scan, '+'))
            scan_take(scan, '-');
        if (!scan_digits(scan))
            return false;
    }
    size_t length = (size_t)(scan->at - start);
    if (length > NUMBER_MAX)
        return mend(scan, JSON_PATIENT, start, STR("null"), SUBJECT "has a number of more than 63 characters.");
    if (has_exponent && !is_finite_number(start, length))
        return mend(scan, JSON_PATIENT, start, STR("null"), SUBJECT "has a number that is too large.");
    return true;
}

/*
 * Reads a member's name and the colon after it; *name becomes the text between the quotes. The caller must look at
 * scan->unusable.
 */
bool scan_name(struct scanner *scan, struct str *name)
{
    const char *start = scan->at + 1;
    if (!scan_string(scan))
        return false;
    *name = (struct str){start, (size_t)(scan->at - 1 - start)};
    scan_space(scan);
    if (!scan_take(scan, ':'))
        return fail_syntax(scan);
    scan_space(scan);
    return true;
}

/* Mends a name that can't be used. It begins at `start`; scan->at is already after the colon. */
static bool mend_name(struct scanner *scan, const char *start, struct str name)
{
    const char *value = scan->at;
    scan->at = name.ptr + name.len + 1;
    bool well = mend(scan, JSON_PATIENT, start, STR("\"\""), scan->unusable);
    scan->at = value;
    return well;
}

static bool scan_object(struct scanner *scan)
{
    struct json_place place = {.outer = scan->place};
    scan_take(scan, '{');
    scan_space(scan);
    if (scan_take(scan, '}'))
        return true;
    for (;;) {
        const char *start = scan->at;
        if (!scan_name(scan, &place.name))
            return false;
        scan->place = &place;
        if ((scan->unusable != NULL && !mend_name(scan, start, place.name)) || !scan_value(scan))
            return false;
        scan->place = place.outer;
        scan_space(scan);
        if (scan_take(scan, '}'))
            return true;
        if (!scan_take(scan, ','))
            return fail_syntax(scan);
        scan_space(scan);
    }
}

static bool scan_array(struct scanner *scan)
{
    struct json_place place = {.outer = scan->place};
    scan_take(scan, '[');
    scan_space(scan);
    if (scan_take(scan, ']'))
        return true;
    for (;; place.index++) {
        scan->place = &place;
        if (!scan_value(scan))
            return false;
        scan->place = place.outer;
        scan_space(scan);
        if (scan_take(scan, ']'))
            return true;
        if (!scan_take(scan, ','))
            return fail_syntax(scan);
        scan_space(scan);
    }
}

/* The arrays and objects that the scanner is in; for each, whether it is an object. */
struct nest {
    bool *is_object;
    size_t depth;
};

/* Goes from a value to the next one within the nest; after the last one to the end of the nest, whose depth is then 0. */
static bool scan_step(struct scanner *scan, struct nest *nest)
{
    struct str name;
    if (scan->at < scan->end && (*scan->at == '{' || *scan->at == '[')) {
        bool is_object = nest->is_object[nest->depth++] = *scan->at == '{';
        scan->at++;
        scan_space(scan);
        if (!scan_take(scan, is_object ? '}' : ']'))
            return !is_object || scan_name(scan, &name);
        nest->depth--;
    } else if (!scan_value(scan)) {
        return false;
    }
    for (; nest->depth > 0; nest->depth--) {
        bool is_object = nest->is_object[nest->depth - 1];
        scan_space(scan);
        if (scan_take(scan, ',')) {
            scan_space(scan);
            return !is_object || scan_name(scan, &name);
        }
        if (!scan_take(scan, is_object ? '}' : ']'))
            return fail_syntax(scan);
    }
    return true;
}

/* Passes over an array or object of any depth: it does not recurse. */
static bool scan_deep(struct scanner *scan)
{
    const char *start = scan->at;
    struct mending *mending = scan->mending;
    struct nest nest = {malloc((size_t)(scan->end - scan->at)), 0}; /* each level takes a byte of the text at least */
    if (nest.is_object == NULL)
        abort();
    scan->mending = NULL; /* the whole value is replaced */
    bool well;
    do
        well = scan_step(scan, &nest);
    while (well && nest.depth > 0);
    scan->mending = mending;
    free(nest.is_object);
    return well && mend(scan, JSON_PATIENT, start, STR("null"), TOO_DEEP);
}

/* Recurses, at most JSON_DEPTH_MAX deep. */
static bool scan_nested(struct scanner *scan)
{
    if (scan->depth == JSON_DEPTH_MAX)
        return scan->patience < JSON_PATIENT ? fail(scan, TOO_DEEP) : scan_deep(scan);
    scan->depth++;
    if (!(*scan->at == '{' ? scan_object(scan) : scan_array(scan)))
        return false;
    scan->depth--;
    return true;
}

bool scan_value(struct scanner *scan)
{
    const char *start = scan->at;
    if (scan->at == scan->end)
        return fail_syntax(scan);
    switch (*scan->at) {
    case '{':
    case '[':
        return scan_nested(scan);
    case '"':
        return scan_string(scan) && (scan->unusable == NULL || mend(scan, JSON_PATIENT, start, STR("null"), scan->unusable));
    case 't':
        return scan_word(scan, STR("true"));
    case 'f':
        return scan_word(scan, STR("false"));
    case 'n':
        return scan_word(scan, STR("null"));
    case 'N':
    case 'I':
        return scan->patience < JSON_NAN ? fail_syntax(scan) : scan_no_number(scan, start);
    default:
        return scan_number(scan);
    }
}

bool scan_begins_with_mark(struct str text)
{
    return text.len >= 3 && memcmp(text.ptr, "\xEF\xBB\xBF", 3) == 0;
}

bool scan_document(struct scanner *scan)
{
    if (scan_begins_with_mark((struct str){scan->at, (size_t)(scan->end - scan->at)}))
        return fail(scan, SUBJECT "begins with a byte order mark; send plain UTF-8.");
    scan_space(scan);
    if (scan->at == scan->end)
        return fail(scan, SUBJECT "is empty; it must be a JSON object.");
    if (*scan->at != '{')
        return fail(scan, SUBJECT "must be a JSON object.");
    if (!scan_value(scan))
        return false;
    scan_space(scan);
    return scan->at == scan->end || fail(scan, SUBJECT "has something behind its JSON object.");
}
