/*
 * Answers. Each function that answers ends the request: nothing of it may be used afterwards.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "base/buffer.h"
#include "base/faults.h"
#include "http/request.h"

struct st_h2o_generator_t;

#define RETRY_AFTER_SECONDS "2"

/* Answer with JSON, whose bytes are taken out of the buffer; and with a text that lives for ever. */
void reply_json(struct request *request, int status, struct buffer *body);
void reply_constant(struct request *request, int status, struct str body);

/* Answers with a body, which must not change until the request is disposed of. An absent type means no Content-Type. */
void reply_bytes(struct request *request, int status, struct str type, struct str body);

/*
 * Answers with JSON that is `age_s` seconds old and that other requests share. Calls release(owner) in this thread when this
 * request no longer needs the bytes.
 */
void reply_shared(struct request *request, struct str body, int age_s, void (*release)(void *owner), void *owner);

/*
 * Answer with HTML that lives for ever, in the Content-Encoding that has been set; and with 304, because the client has it
 * already.
 */
void reply_html(struct request *request, struct str html);
void reply_not_modified(struct request *request);

/* Answers with 200 and a body of another type. The buffer's bytes are taken. */
void reply_body(struct request *request, struct str type, struct buffer *body);

/*
 * Answers with a problem (RFC 9457). `detail` NULL: the error's own sentence. `faults` may be NULL. OpenAI's clients repeat
 * whatever gets a 5xx, so X-Should-Retry tells them if that can't help.
 */
void reply_error(struct request *request, enum err err, const char *detail, const struct faults *faults);

/* Answers a CORS preflight, or any other OPTIONS. */
void reply_preflight(struct request *request);

/* Begins an answer that `generator` then sends; for stream.c. Returns whether the client asked for the headers alone. */
bool reply_begin(struct request *request, int status, struct str type, struct st_h2o_generator_t *generator);

/* The same with 101, which libh2o sends; for tunnel.c. */
void reply_begin_upgrade(struct request *request);

/* Returns the general sentence for an error, for answers without a more exact one. It lives for ever. */
const char *reply_sentence(const struct server_thread *thread, enum err err);

/* Appends a problem as JSON. */
void reply_write_problem(struct buffer *out, enum err err, const char *detail, const struct faults *faults);

#endif
