/*
 * Sends requests to a coordinator over HTTP. The server may be no coordinator, or hostile, so answers are bounded in size and
 * time and must be strict JSON.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/buffer.h"
#include "cli/options.h"
#include "cli/proxy.h"

#include <cjson/cJSON.h>

#define CLIENT_BODY_MAX (64 << 20) /* bytes of an answer */

struct client {
    void *curl;         /* CURL */
    void *headers;      /* struct curl_slist: the headers of a request with a body */
    void *bare_headers; /* struct curl_slist: those of a request without a body; NULL: none */
    char token[4128];   /* "Authorization: Bearer …"; empty: none */
    char url[1024];     /* without a slash at its end */
    char place[320];    /* the same for people, without a password; with a private server: where Redis is */
    struct proxy proxy; /* which proxy requests go through */
    bool is_private;    /* the server is this process's own (cli/private_server.h) */
    bool can_be_ended;  /* a pending blocked signal ends a request */
    char why[768];      /* why the last request failed */
};

struct answer {
    long status; /* of HTTP; 0: none came */
    struct buffer body;
    cJSON *json; /* an object; NULL: the body is not one */
};

/*
 * Prepares requests to the coordinator that the options name. Returns CLI_DONE, or an exit code after printing the reason.
 * With --watch, pending signals that the caller has blocked end a request.
 */
int client_open(struct client *client, const struct options *options);

void client_close(struct client *client);

/*
 * Asks for a path and fills *answer, which the caller releases with answer_fini in any case. CLI_DONE: the status is 200 or 201,
 * and the body a JSON object. CLI_NO_WORKER: there is no such worker, task or queue. CLI_FAILED: client->why says why. If an
 * error's body is a JSON object, *answer has it.
 */
int client_ask(struct client *client, const char *method, const char *path, struct answer *answer);

/* Sends a request with a body, which is JSON or empty; else like client_ask. */
int client_send(struct client *client, const char *method, const char *path, struct str body, struct answer *answer);

/* Sets the Idempotency-Key of all later requests with a body; NULL: none. */
void client_set_key(struct client *client, const char *key);

void answer_fini(struct answer *answer);

/* Returns the text of a string member; absent if there is no such member. */
struct str member_text(const cJSON *object, const char *name);

/* Returns the number of a number member; NAN if there is no such member. */
double member_number(const cJSON *object, const char *name);

/* Appends a count of things; "?" if it is NAN or 1e15 or more. */
void add_count(struct buffer *out, double count);

#endif
