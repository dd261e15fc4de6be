/*
 * Reads JSON from strangers. It checks the whole document before it takes anything from it: size, depth, UTF-8, no NUL.
 */
#ifndef MODEL_JSON_H
#define MODEL_JSON_H

#include "base/err.h"
#include "base/faults.h"

#include <cjson/cJSON.h>

#define JSON_DEPTH_MAX 32

/*
 * Parses `text` into *document (release it with cJSON_Delete). ERR_BAD_REQUEST, with a sentence in *why (static), if the text
 * is not one JSON object in valid UTF-8. It also refuses nesting deeper than JSON_DEPTH_MAX, NUL bytes or \u0000, lone
 * surrogates, NaN, numbers that don't fit a double (1e999) or have more than 63 characters, and trailing garbage.
 */
MUST_CHECK enum err json_parse_object(struct str text, cJSON **document, const char **why);

/* Checks the same as json_parse_object, without building anything. */
MUST_CHECK enum err json_check_object(struct str text, const char **why);

/* What is accepted. Each value accepts more than the one before it. */
enum json_patience {
    JSON_EXACT,  /* what json_parse_object takes */
    JSON_NAN,    /* also NaN, Infinity and -Infinity, which Python writes and JSON does not have */
    JSON_PATIENT /* also JSON nested too deeply, strings with \u0000 or lone surrogates, numbers too large or too long */
};

/*
 * Like json_parse_object, for a body that is read with `patience` and may begin with a byte order mark. *text becomes the text
 * for further reading: the body, or a copy in `room`, which must be empty and which the caller releases. In the copy, each
 * unusable value is null and each unusable name of a member is ""; *ignored names them. On an error `room` and *ignored are
 * empty.
 */
MUST_CHECK enum err json_parse_body(enum json_patience patience, struct str *text, struct buffer *room, cJSON **document,
                                    struct faults *ignored, const char **why);

/* Checks the same as json_parse_body with the greatest patience, without building anything. Cuts a byte order mark off *text. */
MUST_CHECK enum err json_check_body(struct str *text, const char **why);

/*
 * Whether json_parse_object refuses the present `text` for its content. *place is then the place of the fault (the end, if
 * something is missing there), and *why a sentence without its subject (static): "is not valid JSON."
 */
bool json_find_fault(struct str text, const char **place, const char **why);

/* Whether `text` may become a JSON string (buffer_json_string). */
bool json_is_utf8(struct str text);

/*
 * The elements of a JSON array or the members of a JSON object, one after another, as they stand in the text:
 *
 *     struct json_items items = json_items(text);
 *     while (json_next(&items, &item))
 *
 * `text` must be of a document that passed a check in here; anything but an array or an object has no items. They come in the
 * same number and order as the children of the parsed array or object.
 */
struct json_items {
    const char *at;
    const char *end;
    bool has_names;
};

struct json_item {
    struct str name; /* the text between the quotes, with its escapes; absent in an array */
    struct str value;
};

struct json_items json_items(struct str text);

/* Takes the next one; false at the end. */
bool json_next(struct json_items *items, struct json_item *item);

/*
 * The text of the top-level member `name` of the JSON object `text`, as it came, without white space around it; absent if there
 * is no such member. `text` must have passed a check in here. As in cJSON_GetObjectItemCaseSensitive, the first of several
 * members with the same name counts, and escapes in names are decoded.
 */
struct str json_member_text(struct str text, const char *name);

/* Whether several top-level members have that name: two readers may then take different ones. */
bool json_has_several(struct str text, const char *name);

/*
 * Read optional members of `object`. NULL and JSON null both mean absent and leave *out as it is. A wrong type or a string over
 * `max` bytes is added to *faults under `field` (the full path, as the client knows it). A string points into the document.
 * `high` may be INFINITY; a negative zero becomes 0.
 */
void json_get_string(const cJSON *object, const char *name, size_t max, const char *field, struct str *out, struct faults *faults);
void json_get_number(const cJSON *object, const char *name, double low, double high, const char *field, double *out,
                     struct faults *faults);
void json_get_bool(const cJSON *object, const char *name, const char *field, bool *out, struct faults *faults);

#endif
