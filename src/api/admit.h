/*
 * Admits requests between the route table and the handlers. Each request that matches a row passes here. It goes on to its
 * handler, at once or later, or is answered here. A rule for all endpoints belongs here, so that no handler can forget it.
 */
#ifndef API_ADMIT_H
#define API_ADMIT_H

#include "api/principal.h"
#include "base/metrics.h"
#include "http/request.h"

/*
 * Who may use a route. `.access` of its row has the lowest role that may use it, or workers, or both. A row without `.access`
 * is for nobody. ACCESS_FIELD marks the paths that agents, dashboards and front-ends in the field use without credentials.
 */
enum access {
    ACCESS_ANYONE = 1,
    ACCESS_VIEWER = 2,
    ACCESS_USER = 4,
    ACCESS_OPERATOR = 8,
    ACCESS_ADMIN = 16,
    ACCESS_WORKER = 32,
    ACCESS_FIELD = 64,
};

/*
 * Refusals by their reasons, in metrics->counters from ADMIT_COUNTERS on: first those that were only reported, then those that
 * were enforced.
 */
#define ADMIT_REASONS 6
#define ADMIT_COUNTERS (METRICS_COUNTERS_MAX - 2 * ADMIT_REASONS)
const char *admit_reason(size_t i);

struct actor;
struct api;

/* Lets a request go on to its handler. After a request that writes, the client's own next reads see what it has written. */
request_handler api_admit;

/*
 * Finds out who sent the request, whatever AUTH and the route say, and then calls `then`, at once or later. Answers the request
 * itself if that can't be found out now. `token` is used in place of the headers; it must live as long as the request.
 * admit_principal and admit_found then return what was found.
 */
void admit_identify(struct request *request, struct str token, request_handler *then);
enum identification admit_found(const struct request *request);

/*
 * Whether a request proves that it comes from our own page. Browsers send and store our cookie for any page, but they also tell
 * which page asks.
 */
bool admit_is_from_own_page(const struct request *request);

/* Returns who sent a request that has been admitted; PRINCIPAL_NONE if nobody has to say so. */
const struct principal *admit_principal(const struct request *request);

/* Returns the same as the audit and the log show it. Its texts live as long as the request. */
struct actor admit_actor(struct request *request);

/*
 * Writes to the audit that a user or a program is about to use an operator's rights. It names the target only if that is a valid
 * id; the handler refuses others. api_admit calls it for routes that write and take an operator.
 */
void admit_note_operation(struct request *request);

/*
 * Whether the sender may speak for a worker, as far as that is known without Redis. *join becomes the caller that the script must
 * check, see lua/lib/owner.lua. It is absent if the sender speaks for all workers.
 */
bool admit_speaks_for(const struct request *request, struct str worker_id, struct str *join);

/* The same; if it returns false, the request has been answered. */
bool admit_worker(struct request *request, struct str worker_id, struct str *join);

/* Whether a request without a good credential would have been refused. */
bool admit_is_enforced(const struct request *request);

/*
 * Returns why a principal that was admitted to a route of that access would be refused now; ERR_NONE: it would not be. Brings
 * *principal up to date.
 */
enum err admit_check_again(const struct api *api, struct principal *principal, unsigned access);

/* The sender's present role, which may be less than when a request came that has waited. */
enum role admit_role_now(const struct request *request);

/* Answers a request that is refused, or whose credential has ended since it was admitted. */
void admit_refuse(struct request *request, enum err err);

/* Answers a request if the script has found that the sender may not speak for the worker (ERR_OTHERS). */
void admit_refuse_other(struct request *request);

#endif
