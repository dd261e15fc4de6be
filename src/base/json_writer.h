/*
 * JSON written into a buffer. Commas, colons and quotes are made here:
 *
 *     json_begin_object(out, NULL);                      {
 *     json_add_text(out, "worker_id", id);                "worker_id":"w1"
 *     json_add_integer(out, "tier", 1);                   ,"tier":1
 *     json_begin_array(out, "services");                  ,"services":[
 *     json_add_text(out, NULL, STR("llm"));               "llm"
 *     json_end_array(out);                                ]
 *     json_end_object(out);                               }
 *
 * `key` is the name of a member: plain text that needs no escape, in practice a literal. It is NULL for an element of an array, for a
 * value that stands alone, and after json_add_key.
 *
 * There is no state besides the buffer: a comma is due when the buffer ends with a value. So a document can be written by many
 * functions, in many calls. What is in the buffer before the document must end in a blank or a line break ("data: ").
 */
#ifndef BASE_JSON_WRITER_H
#define BASE_JSON_WRITER_H

#include "base/buffer.h"

void json_begin_object(struct buffer *out, const char *key);
void json_end_object(struct buffer *out);
void json_begin_array(struct buffer *out, const char *key);
void json_end_array(struct buffer *out);

/* The name of a member, from anywhere: it is escaped. The value is added next, with a key of NULL. `name` is UTF-8. */
void json_add_key(struct buffer *out, struct str name);

/* `text` is UTF-8; an absent one becomes null. */
void json_add_text(struct buffer *out, const char *key, struct str text);
void json_add_integer(struct buffer *out, const char *key, int64_t number);

/* A finite number: up to 6 decimals, no trailing zeros, at least one decimal ("0.0"). */
void json_add_number(struct buffer *out, const char *key, double number);
void json_add_bool(struct buffer *out, const char *key, bool value);
void json_add_null(struct buffer *out, const char *key);

/* Milliseconds since 1970, as a string: "2026-03-01T12:00:00.000Z" (see buffer_json_time). */
void json_add_time(struct buffer *out, const char *key, int64_t milliseconds);

/* A value that is JSON already, not empty, without white space at its end. It is not checked again. */
void json_add_raw(struct buffer *out, const char *key, struct str json);

#endif
