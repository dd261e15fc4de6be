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
 * Parses `text` into *document (release it with cJSON_Delete). Refuses with ERR_BAD_REQUEST, and a sentence in *why (static), what
 * is not one JSON object in valid UTF-8: nesting deeper than JSON_DEPTH_MAX, NUL bytes or \u0000, lone surrogates, NaN, numbers
 * that don't fit a double (1e999) or have more than 63 characters, trailing garbage.
 */
MUST_CHECK enum err json_parse_object(struct str text, cJSON **document, const char **why);

/* Refuses what json_parse_object refuses, and builds nothing. */
MUST_CHECK enum err json_check_object(struct str text, const char **why);

/* What is accepted; each accepts more than the one before it. */
enum json_patience {
    JSON_EXACT,  /* what json_parse_object takes */
    JSON_NAN,    /* NaN, Infinity and -Infinity, which JSON does not have and Python writes */
    JSON_PATIENT /* all other JSON: nested too deeply, strings with \u0000 or lone surrogates, numbers too large or too long */
};

/*
 * As json_parse_object, of a body that is read with `patience`, a byte order mark before it or not. *text becomes what is to be
 * read further: the body, or a copy in `room`, which comes in empty and is the caller's to release. In the copy, null stands
 * for each value that can't be used, "" for such a name of a member; each is named in *ignored. On an error `room` and *ignored
 * come back empty.
 */
MUST_CHECK enum err json_parse_body(enum json_patience patience, struct str *text, struct buffer *room, cJSON **document,
                                    struct faults *ignored, const char **why);

/* Refuses what json_parse_body refuses with all patience, and builds nothing. *text loses a byte order mark. */
MUST_CHECK enum err json_check_body(struct str *text, const char **why);

/*
 * Whether json_parse_object refuses `text` (present) for what it says: then *place is where in the text (its end, when something is
 * missing there), *why a sentence without its subject (static): "is not valid JSON."
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
 * `text` must be of a document that passed a check in here; anything but an array or an object has no items. They come as often and
 * in the same order as the children of the parsed array or object.
 */
struct json_items {
    const char *at;
    const char *end;
    bool has_names;
};

struct json_item {
    struct str name; /* what stands between the quotes, escapes and all; absent in an array */
    struct str value;
};

struct json_items json_items(struct str text);

/* Takes the next one; false when there is none. */
bool json_next(struct json_items *items, struct json_item *item);

/*
 * The text of the top-level member `name` of the JSON object `text` as it came, white space around it cut off; absent when there is
 * no such member. `text` must have passed a check in here. Of members with the same name the first counts, and escapes in a name
 * are read as what they mean: as in cJSON_GetObjectItemCaseSensitive.
 */
struct str json_member_text(struct str text, const char *name);

/*
 * Optional members of `object`: NULL and JSON null both mean absent and leave *out alone. A wrong type or a string over `max` bytes
 * is added to *faults under `field` (the full path, as the client knows it). A string points into the document. `high` may be
 * INFINITY; a number comes without a negative zero.
 */
void json_get_string(const cJSON *object, const char *name, size_t max, const char *field, struct str *out, struct faults *faults);
void json_get_number(const cJSON *object, const char *name, double low, double high, const char *field, double *out,
                     struct faults *faults);
void json_get_bool(const cJSON *object, const char *name, const char *field, bool *out, struct faults *faults);

#endif
