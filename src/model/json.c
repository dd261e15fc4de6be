#include "model/json.h"

#include "base/utf8.h"
#include "model/json_scan.h"

#include <math.h>

bool json_find_fault(struct str text, const char **place, const char **why)
{
    struct scanner scan = {.at = text.ptr, .end = text.ptr + text.len};
    if (scan_document(&scan))
        return false;
    *place = scan.at;
    *why = scan.why + strlen(JSON_SUBJECT);
    return true;
}

bool json_is_utf8(struct str text)
{
    for (size_t length; text.len > 0; text.ptr += length, text.len -= length)
        if ((length = utf8_length(text)) == 0)
            return false;
    return true;
}

static enum err build_tree(struct str text, cJSON **document, const char **why)
{
    cJSON *parsed = cJSON_ParseWithLength(text.ptr, text.len);
    if (parsed == NULL) { /* no fuzzer has found a text that the scanner accepts and cJSON refuses, but there may be one */
        *why = "The body is JSON that this server can't read.";
        return ERR_BAD_REQUEST;
    }
    *document = parsed;
    return ERR_NONE;
}

/* Scans `text`, which may be absent. */
static enum err check(struct scanner *scan, struct str text, const char **why)
{
    scan->at = text.ptr;
    scan->end = text.ptr != NULL ? text.ptr + text.len : NULL;
    if (scan_document(scan))
        return ERR_NONE;
    *why = scan->why;
    return ERR_BAD_REQUEST;
}

enum err json_check_object(struct str text, const char **why)
{
    struct scanner scan = {.patience = JSON_EXACT};
    return check(&scan, text, why);
}

enum err json_parse_object(struct str text, cJSON **document, const char **why)
{
    enum err err = json_check_object(text, why);
    return err == ERR_NONE ? build_tree(text, document, why) : err;
}

/* Returns `text` without the byte order mark that some programs put before it. */
static struct str without_mark(struct str text)
{
    return scan_begins_with_mark(text) ? (struct str){text.ptr + 3, text.len - 3} : text;
}

enum err json_check_body(struct str *text, const char **why)
{
    struct scanner scan = {.patience = JSON_PATIENT};
    *text = without_mark(*text);
    return check(&scan, *text, why);
}

enum err json_parse_body(enum json_patience patience, struct str *text, struct buffer *room, cJSON **document,
                         struct faults *ignored, const char **why)
{
    *text = without_mark(*text);
    struct mending mending = {room, text->ptr, ignored};
    struct scanner scan = {.patience = patience, .mending = &mending};
    enum err err = check(&scan, *text, why);
    if (err == ERR_NONE && room->len > 0) {
        buffer_append(room, (struct str){mending.copied, (size_t)(text->ptr + text->len - mending.copied)});
        *text = buffer_str(room);
    }
    if (err == ERR_NONE)
        err = build_tree(*text, document, why);
    if (err != ERR_NONE) {
        buffer_fini(room);
        faults_fini(ignored);
    }
    return err;
}

/* Takes the next character of a name: a byte, or what an escape means. */
static int take_character(struct scanner *scan)
{
    static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    int byte = (unsigned char)*scan->at++;
    if (byte != '\\')
        return byte;
    byte = (unsigned char)*scan->at++;
    const char *letter = strchr(letters, byte);
    return byte == 'u' ? scan_hex4(scan) : letter != NULL ? meanings[letter - letters] : byte;
}

/* Whether a name in the text, with its escapes, means `name`, which is ASCII: cJSON compares decoded names, too. */
static bool name_is(struct str raw, const char *name)
{
    struct scanner scan = {.at = raw.ptr, .end = raw.ptr + raw.len};
    for (; scan.at < scan.end; name++)
        if (*name == '\0' || take_character(&scan) != (unsigned char)*name)
            return false;
    return *name == '\0';
}

struct json_items json_items(struct str text)
{
    if (text.ptr == NULL)
        text = STR("");
    struct scanner scan = {.at = text.ptr, .end = text.ptr + text.len};
    scan_space(&scan);
    bool has_names = scan_take(&scan, '{');
    if (!has_names && !scan_take(&scan, '['))
        scan.at = scan.end;
    scan_space(&scan);
    return (struct json_items){scan.at, scan.end, has_names};
}

bool json_next(struct json_items *items, struct json_item *item)
{
    struct scanner scan = {.at = items->at, .end = items->end, .patience = JSON_PATIENT}; /* the text was checked */
    *item = (struct json_item){{NULL, 0}, {NULL, 0}};
    if (scan.at == scan.end || *scan.at == '}' || *scan.at == ']')
        return false;
    if (items->has_names && !scan_name(&scan, &item->name))
        return false;
    const char *value = scan.at;
    if (!scan_value(&scan))
        return false;
    item->value = (struct str){value, (size_t)(scan.at - value)};
    scan_space(&scan);
    scan_take(&scan, ',');
    scan_space(&scan);
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

bool json_has_several(struct str text, const char *name)
{
    struct json_items items = json_items(text);
    struct json_item item;
    int count = 0;
    while (count < 2 && json_next(&items, &item))
        count += name_is(item.name, name);
    return count > 1;
}

/* Returns a member; NULL if it is absent or null. */
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
