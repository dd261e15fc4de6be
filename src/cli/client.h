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
    void *headers;      /* struct curl_slist, the headers of a request with a body */
    void *bare_headers; /* of one without; NULL: none */
    char token[4128];   /* "Authorization: Bearer …"; empty: none */
    char url[1024];     /* without a slash at its end */
    char place[320];    /* the same for people, without a password; with a private server, where Redis is */
    struct proxy proxy; /* that requests go through */
    bool is_private;    /* it asks a server of its own */
    bool can_be_ended;  /* a pending blocked signal ends a request */
    char why[768];      /* why the last request failed */
};

struct answer {
    long status; /* of HTTP; 0: none came */
    struct buffer body;
    cJSON *json; /* an object; NULL: the body is not one */
};

/*
 * Prepares requests to the coordinator that the options name. Returns CLI_DONE, or an exit code after printing the reason. It
 * notices signals that the caller has blocked before.
 */
int client_open(struct client *client, const struct options *options);

void client_close(struct client *client);

/*
 * Asks for a path and fills *answer, which the caller releases with answer_fini in any case. CLI_DONE: the answer is 200 and a
 * JSON object. CLI_NO_WORKER, CLI_FAILED: client->why says why, and *answer has the body if it was a JSON object.
 */
int client_ask(struct client *client, const char *method, const char *path, struct answer *answer);

/* Sends a request with a body, which is JSON or empty; else like client_ask. */
int client_send(struct client *client, const char *method, const char *path, struct str body, struct answer *answer);

/* Sets the Idempotency-Key of all later requests with a body; NULL: none. */
void client_set_key(struct client *client, const char *key);

void answer_fini(struct answer *answer);

/* The text of a string member; absent if it is not there. */
struct str member_text(const cJSON *object, const char *name);

/* The number of a number member; NAN if it is not there. */
double member_number(const cJSON *object, const char *name);

/* Appends a count of things; "?" if the member is not a number. */
void add_count(struct buffer *out, double count);

#endif
