/*
 * Writes JSON into a buffer. The writer makes the commas, colons and quotes:
 *
 *     json_begin_object(out, NULL);                      {
 *     json_add_text(out, "worker_id", id);                "worker_id":"w1"
 *     json_add_integer(out, "tier", 1);                   ,"tier":1
 *     json_begin_array(out, "services");                  ,"services":[
 *     json_add_text(out, NULL, STR("llm"));               "llm"
 *     json_end_array(out);                                ]
 *     json_end_object(out);                               }
 *
 * `key` is the name of a member: plain text that needs no escape, in practice a literal. It is NULL for an element of an array,
 * for a value that stands alone, and after json_add_key.
 *
 * There is no state besides the buffer: a comma is due when the buffer ends with a value. So a document can be written by many
 * functions, in many calls. What is in the buffer before the document must end in a blank or a line break ("data: ").
 */
#ifndef BASE_JSON_WRITER_H
#define BASE_JSON_WRITER_H

#include "base/buffer.h"

/* Writes what stands before a value: a comma where one is due, and the key. For the functions below. */
void json_begin_value(struct buffer *out, struct str key);

/* They are inline, so that the compiler knows the length of a literal key. */
static inline void json_begin_object(struct buffer *out, const char *key)
{
    json_begin_value(out, str_from(key));
    buffer_append(out, STR("{"));
}

static inline void json_end_object(struct buffer *out)
{
    buffer_append(out, STR("}"));
}

static inline void json_begin_array(struct buffer *out, const char *key)
{
    json_begin_value(out, str_from(key));
    buffer_append(out, STR("["));
}

static inline void json_end_array(struct buffer *out)
{
    buffer_append(out, STR("]"));
}

/* `text` is UTF-8; an absent one becomes null. */
static inline void json_add_text(struct buffer *out, const char *key, struct str text)
{
    json_begin_value(out, str_from(key));
    buffer_json_string(out, text);
}

/*
 * A value that is JSON already: not empty, without white space at its end, and not checked again. With a key of NULL
 * it may also be several members of an open object, or elements of an open array, with commas between.
 */
static inline void json_add_raw(struct buffer *out, const char *key, struct str json)
{
    json_begin_value(out, str_from(key));
    buffer_append(out, json);
}

static inline void json_add_bool(struct buffer *out, const char *key, bool value)
{
    json_add_raw(out, key, value ? STR("true") : STR("false"));
}

static inline void json_add_null(struct buffer *out, const char *key)
{
    json_add_raw(out, key, STR("null"));
}

/* A finite number: up to 6 decimals, no trailing zeros, at least one decimal ("0.0"). */
static inline void json_add_number(struct buffer *out, const char *key, double number)
{
    json_begin_value(out, str_from(key));
    buffer_json_number(out, number);
}

/* Milliseconds since 1970, as a string: "2026-03-01T12:00:00.000Z" (see buffer_json_time). */
static inline void json_add_time(struct buffer *out, const char *key, int64_t milliseconds)
{
    json_begin_value(out, str_from(key));
    buffer_json_time(out, milliseconds);
}

void json_add_integer(struct buffer *out, const char *key, int64_t number);

/* Adds the name of a member, which may be any UTF-8 text: it is escaped. Add the value next, with a key of NULL. */
void json_add_key(struct buffer *out, struct str name);

#endif
