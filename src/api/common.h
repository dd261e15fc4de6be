/*
 * What handlers share: how to check a request, wait for Redis, and go on when Redis has answered.
 *
 *     void api_thing(struct request *request)
 *     {
 *         const struct api *api = request_app(request);
 *         struct pending *pending = api_wait(request, 0);
 *         api_sent(pending, store_thing(api->store, on_thing, pending));
 *     }
 *
 *     static void on_thing(void *data, enum err err, …)
 *     {
 *         struct request *request = api_resume(data, err);
 *         if (request != NULL)
 *             reply_…(request, …);
 *     }
 */
#ifndef API_COMMON_H
#define API_COMMON_H

#include "base/faults.h"
#include "http/pending.h"
#include "http/request.h"
#include "model/model_name.h"

/*
 * Makes the request wait for Redis, as pending_new without a late answer of its own. The object's payload lives until
 * api_resume returns NULL, or the request that it returns is answered.
 */
struct pending *api_wait(struct request *request, size_t payload_size);

/* Takes the result of a store function. On an error, after which its callback is never called, it answers the request. */
void api_sent(struct pending *pending, enum err err);

/*
 * Ends the wait. Call it once for each api_wait or pending_new, unless api_sent had an error. Returns the request, which the
 * caller must answer now, or NULL. It is NULL if the request is gone, was late, or failed with `err` and has been answered, or
 * if its handler runs again with the primary because the replica failed (see reading_fail).
 */
struct request *api_resume(struct pending *pending, enum err err);

/* Answers that this client has sent too many such requests, and that the next one is accepted after `wait_ms`. */
void api_reply_limited(struct request *request, int64_t wait_ms);

/* Answers with what is wrong with a body or a query, and frees the faults. */
void api_refuse(struct request *request, enum err err, const char *why, struct faults *faults);

/* Whether the path's parameter of that name is a valid id. If not, answers the request with the fault. */
bool api_check_id(struct request *request, const char *name);

/*
 * Reads a query parameter that is a whole number from 1 to `most` (at most 100 million) into *out, which is unchanged if there
 * is none; a fault goes to *faults.
 */
void api_query_number(const struct request *request, const char *name, int most, int *out, struct faults *faults);

/*
 * Reads a parameter of the query that is on or off ("1", "true", "0", "false") into *on: off if it is not given. Returns false if
 * it is something else; then the request has been answered.
 */
MUST_CHECK bool api_query_switch(struct request *request, const char *name, bool *on);

/* Returns the normal form of the model in the query, in `room`; absent if there is none. A fault goes to *faults. */
struct str api_query_model(const struct request *request, char room[MODEL_NAME_MAX], struct faults *faults);

/*
 * Counts the elements of the JSON array `list`, up to `most` + 1. Returns 0 for anything else, also for an absent text. See
 * json_items.
 */
size_t api_count_elements(struct str list, size_t most);

/* Returns the URL of this coordinator that agents are told; it may be in `room`. */
struct str api_coordinator_url(const struct request *request, char room[512]);

/* Returns the sentence for an error, for answers that have no better one. */
const char *api_explain(enum err err);

/*
 * Returns the error of a request for many tasks, if Redis failed and so made none of them; ERR_NONE if the answer lists an outcome
 * for each. `first` is the outcome of the first task; the others follow, each `stride` bytes behind the one before. count > 0.
 */
enum err api_common_error(const enum err *first, size_t stride, size_t count);

#endif
