/*
 * One HTTP request on its way through a handler.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "http/route.h"

struct st_h2o_req_t;
struct server_thread;
struct intake;

#define REQUEST_ID_MAX 128

/* Lives in the request's own pool, and is freed with the request. */
struct request {
    struct st_h2o_req_t *h2o;
    struct server_thread *thread;
    const struct route *route;                               /* NULL: none matches */
    struct route_parameter parameters[ROUTE_PARAMETERS_MAX]; /* decoded; request_parameter and the log read them */
    struct str host;                /* the host[:port] that the client asked for, as it came; absent if it named none */
    struct str path;                /* without the query; without extra slashes, if no route has the path with them */
    struct str query;               /* the text after '?', still encoded; absent without '?' */
    struct str body;                /* absent if there is none, or if there is an intake */
    struct intake *intake;          /* the body comes in pieces; NULL: it does not */
    struct str id;                  /* the client's X-Request-Id, or one that we have made */
    int64_t received_at;            /* clock_us */
    request_handler *before_answer; /* called when its answer begins; NULL: nothing is called */
    int app_state;                  /* for the handler; 0 at first */
    void *app_data;                 /* for the handler, from request_alloc; NULL at first */
    void *waiting;                  /* for the handler; NULL at first */
};

/* Takes the request line's target apart, into host, path and query. */
void request_take_target(struct request *request);

/*
 * Looks a request up in `routes` by its path, and fills in route and parameters. The errors are those of route_find; with
 * ERR_METHOD `allow` lists the path's methods.
 */
MUST_CHECK enum err request_route(struct request *request, const struct route *routes, char allow[ROUTE_ALLOW_SIZE]);

/* Whether `text` consists of letters, digits and the characters of `marks` alone. */
bool request_is_made_of(struct str text, const char *marks);

/*
 * The value of the first query parameter of that name, percent-decoded into `room`. A value that is badly encoded or does not
 * fit is returned as it came, so the caller must check it. A missing or empty value is absent, since forms send empty values
 * for fields that were not filled in.
 */
struct str request_query(const struct request *request, const char *name, char *room, size_t size);

/*
 * The part of the path for "{name}", percent-decoded. It is absent if it can't be an id, because it is badly encoded or has
 * other than visible ASCII characters. For "{name...}" it is the rest of the path, as it came.
 */
struct str request_parameter(const struct request *request, const char *name);

/* Returns memory of zeros, which is freed with the request. */
void *request_alloc(struct request *request, size_t size);

/* Whether the request came to METRICS_PORT, which serves one path and is not public. */
bool request_is_at_metrics_port(const struct request *request);

/* Whether the client asks for the headers of the answer alone (HEAD). */
bool request_is_head(const struct request *request);

/* The value of a request header, whose name is given in lower case; absent if the request does not have it. */
struct str request_header(const struct request *request, const char *name);

/* Whether the request has more than one header of that name, which is given in lower case. */
bool request_has_twice(const struct request *request, const char *name);

/* A header of a request, as it came. */
struct request_field {
    struct str name, value;
};

#define REQUEST_FIELDS_MAX 100 /* more headers are refused by libh2o */

/*
 * All headers in their order, repeated ones too, except Host, Content-Length, Transfer-Encoding, Expect and Upgrade, which
 * libh2o keeps elsewhere. They are valid as long as the request. Returns their number.
 */
size_t request_fields(const struct request *request, struct request_field fields[REQUEST_FIELDS_MAX]);

/* The protocol that Upgrade asks for; absent without that header. */
struct str request_upgrade(const struct request *request);

/* The method, as it came: "GET", "PROPFIND". */
struct str request_method(const struct request *request);

/* Adds a header to the answer; both texts must last as long as the request. */
void request_set_header(struct request *request, const char *name, const char *value);

/*
 * Says which worker a request is about when its path does not. The log shows it, and request_parameter returns it for
 * "worker_id". The text is copied.
 */
void request_name_worker(struct request *request, struct str worker_id);

/* Removes a parameter, so that a bad value is not logged. */
void request_forget_parameter(struct request *request, const char *name);

/* Sets a header of the answer to a copy of `value`, in place of an earlier one. An empty `value` removes the header. */
void request_replace_header(struct request *request, const char *name, const char *value);

/*
 * Adds a header to the answer. The texts must last until the answer's first bytes have been written; `name` is not empty.
 * Several headers may have the same name.
 */
void request_add_field(struct request *request, struct str name, struct str value);

/* Calls `gone` when the request is disposed of, in any case. */
void request_tell_when_gone(struct request *request, void (*gone)(void *data), void *data);

/* The object that the handlers of this thread share, from server_thread_set_app. */
void *request_app(const struct request *request);

#endif
