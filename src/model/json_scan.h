/*
 * The scanner of json.c. It checks a JSON text by the grammar of RFC 8259. On request it makes a mended copy, and nothing else.
 */
#ifndef MODEL_JSON_SCAN_H
#define MODEL_JSON_SCAN_H

#include "base/buffer.h"
#include "model/json.h"

#define JSON_SUBJECT "The body " /* all sentences begin with it */

/* The scanner's place in the document: the array or object that holds the value, and the value's index or name. */
struct json_place {
    const struct json_place *outer;
    struct str name; /* absent in an array */
    size_t index;
};

/* A copy of a text, mended. */
struct mending {
    struct buffer *text;    /* the copy so far; empty until there is something to mend */
    const char *copied;     /* the part of the text up to here is in the copy */
    struct faults *ignored; /* names what was mended */
};

struct scanner {
    const char *at;
    const char *end;
    int depth;
    const char *why; /* set by the first failure */
    enum json_patience patience;
    const char *unusable;           /* why the current string can't be used */
    const struct json_place *place; /* NULL: outside the document's object */
    struct mending *mending;        /* NULL: nothing is mended or named */
};

/*
 * Each of these functions takes its part of the text off the front and returns whether the part was there. When a part is
 * malformed, scan->why says so.
 */

bool scan_document(struct scanner *scan);
bool scan_value(struct scanner *scan);

/*
 * A member's name and the colon after it; *name becomes the text between the quotes. scan->unusable says whether it can be used.
 */
bool scan_name(struct scanner *scan, struct str *name);

/* White space, if there is any. */
void scan_space(struct scanner *scan);

/* `byte`, if it is next. */
bool scan_take(struct scanner *scan, char byte);

/* Reads the four hex digits of a \u escape and returns their value; -1 if they are not there. */
int scan_hex4(struct scanner *scan);

/* Whether `text` begins with a byte order mark. */
bool scan_begins_with_mark(struct str text);

#endif
