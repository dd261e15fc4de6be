#include "cli/client.h"

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/curl_library.h"
#include "cli/private_server.h"
#include "model/json.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_MS 5000L
#define ANSWER_TIMEOUT_MS 10000L
#define READY_TIMEOUT_MS 3000 /* until a private server reaches its Redis */
#define HEADERS_MAX 65536     /* bytes of an answer's headers */
#define ITEMS_MAX 2000000     /* values in an answer; a parsed one takes about 80 bytes */

/* An answer that is being received. */
struct transfer {
    struct buffer *body;
    size_t headers;
    bool too_much;
};

static size_t on_header(const char *bytes, size_t size, size_t count, void *data)
{
    (void)bytes;
    struct transfer *transfer = data;
    transfer->headers += size * count;
    transfer->too_much = transfer->headers > HEADERS_MAX;
    return transfer->too_much ? 0 : size * count;
}

static size_t on_body(const char *bytes, size_t size, size_t count, void *data)
{
    struct transfer *transfer = data;
    size *= count;
    transfer->too_much = transfer->body->len + size > CLIENT_BODY_MAX;
    if (transfer->too_much)
        return 0;
    buffer_append(transfer->body, (struct str){bytes, size});
    return size;
}

/* libcurl calls it at least once a second. Returns 1, which ends the request, if a signal that ends the program is pending. */
static int on_progress(void *data, curl_off_t to_get, curl_off_t got, curl_off_t to_send, curl_off_t sent)
{
    (void)to_get, (void)got, (void)to_send, (void)sent;
    const struct client *client = data;
    sigset_t waiting;
    return client->can_be_ended && sigpending(&waiting) == 0 &&
           (sigismember(&waiting, SIGINT) == 1 || sigismember(&waiting, SIGTERM) == 1 || sigismember(&waiting, SIGHUP) == 1);
}

/* Returns a part of a URL, which the caller releases with curl_free; NULL: the URL has no such part. */
static char *part_of(CURLU *url, CURLUPart what)
{
    char *part = NULL;
    return libcurl.curl_url_get(url, what, &part, 0) == CURLUE_OK ? part : NULL;
}

static bool has_part(CURLU *url, CURLUPart what)
{
    char *part = part_of(url, what);
    libcurl.curl_free(part);
    return part != NULL;
}

/* Reads the URL of a coordinator; false if the text is no such URL. */
static bool read_url(struct client *client, const char *text)
{
    bool is_http = strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0;
    CURLU *url = libcurl.curl_url();
    if (url == NULL)
        abort();
    bool good = is_http && strlen(text) < sizeof(client->url) - 1 &&
                libcurl.curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK && !has_part(url, CURLUPART_QUERY) &&
                !has_part(url, CURLUPART_FRAGMENT);
    if (good) {
        size_t len = (size_t)snprintf(client->url, sizeof(client->url), "%s", text);
        while (client->url[len - 1] == '/')
            client->url[--len] = '\0';
        char *scheme = part_of(url, CURLUPART_SCHEME), *host = part_of(url, CURLUPART_HOST), *port = part_of(url, CURLUPART_PORT);
        snprintf(client->place, sizeof(client->place), "%s://%.255s%s%s", scheme, host, port != NULL ? ":" : "",
                 port != NULL ? port : "");
        libcurl.curl_free(scheme);
        libcurl.curl_free(host);
        libcurl.curl_free(port);
    }
    libcurl.curl_url_cleanup(url);
    return good;
}

static CURL *make_curl(const struct client *client)
{
    CURL *curl = libcurl.curl_easy_init();
    if (curl == NULL)
        abort();
    libcurl.curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    libcurl.curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    libcurl.curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    libcurl.curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    libcurl.curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_TIMEOUT_MS);
    libcurl.curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* a worker may be called ".." */
    libcurl.curl_easy_setopt(curl, CURLOPT_USERAGENT, "rma-coordinator");
    libcurl.curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    libcurl.curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    libcurl.curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    libcurl.curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
    libcurl.curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    /* libcurl reads no variables itself, so error messages name the proxy that was really used */
    libcurl.curl_easy_setopt(curl, CURLOPT_PROXY, client->proxy.variable != NULL ? client->proxy.url : "");
    libcurl.curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
    const char *authorities = getenv("SSL_CERT_FILE"); /* the variable that OpenSSL's own programs read */
    if (authorities != NULL && authorities[0] != '\0')
        libcurl.curl_easy_setopt(curl, CURLOPT_CAINFO, authorities);
    return curl;
}

/* Waits until the private server reaches its Redis. False if it does not; *is_newer: because the data has a newer format. */
static bool wait_until_ready(struct client *client, bool *is_newer)
{
    int64_t end = clock_ms() + READY_TIMEOUT_MS;
    for (;;) {
        struct answer answer;
        int code = client_ask(client, "GET", "/readyz", &answer);
        *is_newer = code != CLI_DONE && str_eq(member_text(answer.json, "code"), err_code(ERR_NEWER));
        answer_fini(&answer);
        if (code == CLI_DONE || *is_newer || clock_ms() >= end)
            return code == CLI_DONE;
        poll(NULL, 0, 20);
    }
}

/* Takes the token for the requests: RMA_TOKEN, or the one of the private server. False if the text can be no token. */
static bool read_token(struct client *client)
{
    const char *token = client->is_private ? private_server_token() : getenv("RMA_TOKEN");
    if (token == NULL || token[0] == '\0')
        return true;
    for (const char *c = token; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    int len = snprintf(client->token, sizeof(client->token), "Authorization: Bearer %s", token);
    return len > 0 && (size_t)len < sizeof(client->token);
}

int client_open(struct client *client, const struct options *options)
{
    char why[256];
    *client = (struct client){.is_private = options->url == NULL, .can_be_ended = options->watch};
    if (!curl_library_load(why))
        return cli_fail(CLI_FAILED, "%s", why);
    if (options->url != NULL && !read_url(client, options->url))
        return cli_fail(CLI_USAGE, "the coordinator's URL must look like http://host:8080 or https://host/prefix");
    if (libcurl.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
    if (client->is_private) {
        enum err err = private_server_start((char **)(uintptr_t)options->settings, client->url, client->place, why);
        if (err != ERR_NONE)
            return cli_fail(err == ERR_BAD_REQUEST ? CLI_USAGE : CLI_FAILED, "%s", why);
    }
    if (!client->is_private)
        proxy_find(str_from(client->url), &client->proxy);
    if (!read_token(client))
        return cli_fail(CLI_USAGE, "RMA_TOKEN must be a token: visible characters, at most 4096 of them");
    client->curl = make_curl(client);
    client_set_key(client, NULL);
    bool is_newer;
    if (!client->is_private || wait_until_ready(client, &is_newer))
        return CLI_DONE;
    cli_fail(CLI_FAILED,
             is_newer ? "what is in Redis at %s is of a newer format than this version knows; use a newer rma-coordinator"
                      : "Redis at %s does not serve: it is away, still loads its data, or refuses the password; see REDIS_URL",
             client->place);
    client_close(client);
    return CLI_FAILED;
}

void client_close(struct client *client)
{
    libcurl.curl_easy_cleanup(client->curl); /* an open connection would keep the private server from stopping */
    libcurl.curl_slist_free_all(client->headers);
    libcurl.curl_slist_free_all(client->bare_headers);
    if (client->is_private)
        private_server_stop();
    libcurl.curl_global_cleanup();
}

/* Appends to the reason which proxy the request went through, if any: people may not know that the variable applies here. */
static void blame_proxy(struct client *client)
{
    size_t len = strlen(client->why);
    if (client->proxy.variable != NULL)
        snprintf(client->why + len, sizeof(client->why) - len,
                 " (through the proxy %s of %s; NO_PROXY names hosts to reach without it)", client->proxy.place,
                 client->proxy.variable);
}

/* Writes to client->why why no whole answer came. */
static void explain(struct client *client, CURLcode code, const struct transfer *transfer)
{
    const char *place = client->place;
    size_t size = sizeof(client->why);
    if (transfer->too_much && transfer->headers > HEADERS_MAX)
        snprintf(client->why, size, "%s answers with headers that don't end; is it a coordinator?", place);
    else if (transfer->too_much)
        snprintf(client->why, size, "%s answers with more than %d MiB; is it a coordinator?", place, CLIENT_BODY_MAX >> 20);
    else if (code == CURLE_COULDNT_RESOLVE_PROXY)
        snprintf(client->why, size, "the proxy before %s is not known", place);
    else if (code == CURLE_COULDNT_CONNECT && client->proxy.variable != NULL)
        snprintf(client->why, size, "the proxy before %s can't be reached", place);
    else if (code == CURLE_COULDNT_RESOLVE_HOST)
        snprintf(client->why, size, "the host of %s is not known; check --url", place);
    else if (code == CURLE_COULDNT_CONNECT)
        snprintf(client->why, size, "no coordinator listens at %s; start it, or check --url", place);
    else if (code == CURLE_OPERATION_TIMEDOUT)
        snprintf(client->why, size, "%s does not answer in time; check --url, or try again", place);
    else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
        snprintf(client->why, size, "the certificate of %s can't be trusted; SSL_CERT_FILE names one that can vouch for it", place);
    else
        snprintf(client->why, size, "%s does not answer as a coordinator does (%s); check --url", place,
                 libcurl.curl_easy_strerror(code));
    blame_proxy(client);
}

/* Parses the body; false if it is no JSON object, or has too many values. */
static bool parse(struct answer *answer)
{
    size_t items = 0;
    const char *why;
    for (size_t i = 0; i < answer->body.len; i++)
        items += answer->body.ptr[i] == ',' || answer->body.ptr[i] == '[' || answer->body.ptr[i] == '{';
    return items <= ITEMS_MAX && json_parse_object(buffer_str(&answer->body), &answer->json, &why) == ERR_NONE;
}

/* Whether the code of an error says that the worker, task or queue does not exist. */
static bool says_not_found(struct str code)
{
    return str_eq(code, err_code(ERR_WORKER_NOT_FOUND)) || str_eq(code, err_code(ERR_TASK_NOT_FOUND)) ||
           str_eq(code, err_code(ERR_QUEUE_NOT_FOUND));
}

/* Appends to client->why what is wrong with the first field, if the answer names fields. */
static void name_field(struct client *client, const struct answer *answer)
{
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(answer->json, "errors"), 0);
    struct str field = member_text(first, "field"), message = member_text(first, "message");
    size_t len = strlen(client->why);
    if (message.len > 0)
        snprintf(client->why + len, sizeof(client->why) - len, " %.*s: %.*s", STR_PRINTF(field), STR_PRINTF(message));
}

/* Returns the exit code for a whole answer, and writes client->why for CLI_FAILED. */
static int judge(struct client *client, struct answer *answer)
{
    bool is_json = parse(answer);
    if ((answer->status == 200 || answer->status == 201) && is_json)
        return CLI_DONE;
    struct str detail = member_text(answer->json, "detail");
    if (says_not_found(member_text(answer->json, "code")))
        return CLI_NO_WORKER;
    bool is_coordinators = detail.len > 0;
    if (answer->status == 200)
        snprintf(client->why, sizeof(client->why), "%s answers with something else than a coordinator's JSON; check --url",
                 client->place);
    else if (detail.len > 0)
        snprintf(client->why, sizeof(client->why), "%s answers %ld: %.*s", client->place, answer->status,
                 detail.len < 400 ? (int)detail.len : 400, detail.ptr);
    else
        snprintf(client->why, sizeof(client->why), "%s answers %ld; is it a coordinator? check --url", client->place,
                 answer->status);
    if (is_coordinators)
        name_field(client, answer);
    else
        blame_proxy(client);
    return CLI_FAILED;
}

int client_ask(struct client *client, const char *method, const char *path, struct answer *answer)
{
    return client_send(client, method, path, STR(""), answer);
}

int client_send(struct client *client, const char *method, const char *path, struct str body, struct answer *answer)
{
    char url[2048];
    *answer = (struct answer){.status = 0};
    struct transfer transfer = {.body = &answer->body};
    snprintf(url, sizeof(url), "%s%s", client->url, path);
    libcurl.curl_easy_setopt(client->curl, CURLOPT_URL, url);
    if (strcmp(method, "POST") == 0 || strcmp(method, "PATCH") == 0) {
        libcurl.curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body.len > 0 ? body.ptr : "");
        libcurl.curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE, (long)body.len);
    } else {
        libcurl.curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L);
    }
    libcurl.curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, body.len > 0 ? client->headers : client->bare_headers);
    bool is_usual = strcmp(method, "GET") == 0 || strcmp(method, "POST") == 0;
    libcurl.curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, is_usual ? NULL : method);
    libcurl.curl_easy_setopt(client->curl, CURLOPT_HEADERDATA, &transfer);
    libcurl.curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &transfer);
    CURLcode code = libcurl.curl_easy_perform(client->curl);
    if (code != CURLE_OK) {
        explain(client, code, &transfer);
        return CLI_FAILED;
    }
    libcurl.curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    return judge(client, answer);
}

void client_set_key(struct client *client, const char *key)
{
    libcurl.curl_slist_free_all(client->headers);
    client->headers = libcurl.curl_slist_append(NULL, "Content-Type: application/json");
    if (client->headers != NULL && key != NULL) {
        char header[1200];
        snprintf(header, sizeof(header), "Idempotency-Key: %s", key);
        client->headers = libcurl.curl_slist_append(client->headers, header);
    }
    libcurl.curl_slist_free_all(client->bare_headers);
    client->bare_headers = NULL;
    if (client->token[0] != '\0') {
        client->headers = libcurl.curl_slist_append(client->headers, client->token);
        client->bare_headers = libcurl.curl_slist_append(NULL, client->token);
    }
    if (client->headers == NULL)
        abort();
}

void answer_fini(struct answer *answer)
{
    buffer_fini(&answer->body);
    cJSON_Delete(answer->json);
}

struct str member_text(const cJSON *object, const char *name)
{
    return str_from(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name)));
}

double member_number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

void add_count(struct buffer *out, double count)
{
    if (fabs(count) < 1e15)
        buffer_printf(out, "%.0f", count);
    else
        buffer_append(out, STR("?"));
}
