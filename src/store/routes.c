/*
 * Tells about routing: which models workers have loaded, how workers stand for a service, and how many requests there are. The
 * first two read the whole fleet in pages.
 */
#include "model/catalogue.h"
#include "model/endpoint.h"
#include "model/id.h"
#include "model/model_name.h"
#include "model/status.h"
#include "store/internal.h"
#include "store/requests.h"

#include <stdio.h>
#include <stdlib.h>

#define CURSOR_MAX 24
#define PAIRS_MAX 200000 /* pairs of a worker and a model that one call counts; it ignores the rest */

/* A reading in pages. */
struct paging {
    struct store *store;
    enum script script;
    struct str *args;
    char cursor[CURSOR_MAX];
    link_callback *callback;
    void *data;
};

static enum err ask_page(struct paging *paging, size_t cursor_at)
{
    struct buffer command = BUFFER_INIT;
    paging->args[cursor_at] = str_from(paging->cursor);
    script_begin(&command, paging->script, paging->args, 0);
    return link_run(paging->store->link, paging->script, &command, paging->callback, paging->data);
}

/* Takes the cursor of a page. Returns whether the page was the last one. */
static bool take_cursor(struct paging *paging, const struct redisReply *reply)
{
    struct str cursor = reply_text(reply_element(reply, 0));
    if (cursor.len == 0 || cursor.len >= CURSOR_MAX)
        cursor = STR("0");
    memcpy(paging->cursor, cursor.ptr, cursor.len);
    paging->cursor[cursor.len] = '\0';
    return str_eq(cursor, STR("0"));
}

/* -- models -------------------------------------------------------------------------------------------------------------------- */

/* A worker has a model loaded. HSCAN may return a worker twice, so there may be two equal pairs. */
struct pair {
    size_t model_at, model_len, name_at, name_len, id_at, id_len; /* in modelling->text */
};

struct modelling {
    struct paging paging;
    struct str args[MODELS_ARGS];
    struct buffer text;
    struct pair *pairs;
    size_t count, capacity;
    store_model_callback *row;
    store_callback *done;
    void *data;
};

static size_t keep_text(struct modelling *modelling, struct str text)
{
    size_t at = modelling->text.len;
    buffer_append(&modelling->text, text);
    return at;
}

/* Keeps a pair. The name of the model is its spelling in `told`, the worker's own list of its models. */
static void keep_pair(struct modelling *modelling, struct str id, size_t id_at, struct str model, const cJSON *told)
{
    if (modelling->count == PAIRS_MAX)
        return;
    if (modelling->count == modelling->capacity) {
        modelling->capacity = modelling->capacity > 0 ? 2 * modelling->capacity : 256;
        modelling->pairs = realloc(modelling->pairs, modelling->capacity * sizeof(*modelling->pairs));
        if (modelling->pairs == NULL)
            abort();
    }
    const char *spelling = model_names_find(told, model);
    struct str name = spelling != NULL ? str_from(spelling) : model;
    size_t model_at = keep_text(modelling, model);
    modelling->pairs[modelling->count++] = (struct pair){model_at, model.len, keep_text(modelling, name), name.len, id_at, id.len};
}

static __thread const char *sorted_text; /* of the pairs that qsort compares */

static int compare_texts(size_t a, size_t a_len, size_t b, size_t b_len)
{
    int order = memcmp(sorted_text + a, sorted_text + b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int by_model_and_id(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int order = compare_texts(x->model_at, x->model_len, y->model_at, y->model_len);
    return order != 0 ? order : compare_texts(x->id_at, x->id_len, y->id_at, y->id_len);
}

static bool is_same_model(const struct pair *a, const struct pair *b)
{
    return compare_texts(a->model_at, a->model_len, b->model_at, b->model_len) == 0;
}

static void tell_models(struct modelling *modelling)
{
    const struct pair *pairs = modelling->pairs;
    sorted_text = modelling->text.ptr;
    if (modelling->count > 0)
        qsort(modelling->pairs, modelling->count, sizeof(*pairs), by_model_and_id);
    for (size_t i = 0; i < modelling->count;) {
        const struct pair *first = &pairs[i++], *spelt = first;
        int64_t workers = 1;
        for (; i < modelling->count && is_same_model(&pairs[i], first); i++) {
            workers += by_model_and_id(&pairs[i - 1], &pairs[i]) != 0;
            if (compare_texts(pairs[i].name_at, pairs[i].name_len, spelt->name_at, spelt->name_len) < 0)
                spelt = &pairs[i];
        }
        struct model_count model = {
            {sorted_text + first->model_at, first->model_len}, {sorted_text + spelt->name_at, spelt->name_len}, workers};
        modelling->row(modelling->data, &model);
    }
}

static void end_modelling(struct modelling *modelling, enum err err)
{
    if (err == ERR_NONE)
        tell_models(modelling);
    modelling->done(modelling->data, err);
    buffer_fini(&modelling->text);
    free(modelling->pairs);
    free(modelling);
}

static void on_models(void *data, enum err err, const struct redisReply *reply)
{
    struct modelling *modelling = data;
    bool last = err != ERR_NONE || take_cursor(&modelling->paging, reply);
    for (size_t i = 1; err == ERR_NONE && reply_element(reply, i + 2) != NULL; i += 3) {
        struct str id = reply_text(reply_element(reply, i)), models = reply_text(reply_element(reply, i + 1));
        struct str json = reply_text(reply_element(reply, i + 2));
        cJSON *told = cJSON_ParseWithLength(json.ptr, json.len);
        size_t id_at = keep_text(modelling, id);
        while (models.len > 0)
            keep_pair(modelling, id, id_at, str_cut(&models, ','), told);
        cJSON_Delete(told);
    }
    if (!last)
        err = ask_page(&modelling->paging, MODELS_cursor);
    if (last || err != ERR_NONE)
        end_modelling(modelling, err);
}

enum err store_models(struct store *store, store_model_callback *row, store_callback *done, void *data)
{
    struct modelling *modelling = store_alloc(sizeof(*modelling));
    *modelling = (struct modelling){.row = row, .done = done, .data = data};
    modelling->paging = (struct paging){store, SCRIPT_models, modelling->args, "0", on_models, modelling};
    enum err err = ask_page(&modelling->paging, MODELS_cursor);
    if (err != ERR_NONE)
        free(modelling);
    return err;
}

/* -- how workers stand --------------------------------------------------------------------------------------------------------- */

#define ROW_FIELDS 12 /* strings of a worker in an answer, see lua/route_explain.lua */

struct kept_row {
    char id[ID_MAX], status[16];
    struct route_row row; /* its texts are `id` and `status`, its URLs are `endpoints` */
    struct endpoints endpoints;
};

struct explaining {
    struct paging paging;
    struct str args[ROUTE_EXPLAIN_ARGS];
    struct buffer service, model;
    struct kept_row *rows; /* STORE_ROUTE_MAX at most, the best first */
    size_t count, places_read;
    int64_t *left_out;
    store_route_callback *callback;
    store_callback *done;
    void *data;
};

/* Orders rows: the better choice first, then workers that can't be chosen, in the order of enum route_standing. */
static int by_choice(const struct route_row *a, const struct route_row *b)
{
    double a_load = a->load + 0.1 * (double)a->active_requests + (a->is_near ? 0 : 0.5);
    double b_load = b->load + 0.1 * (double)b->active_requests + (b->is_near ? 0 : 0.5);
    if (a->standing <= ROUTE_NO_MODEL && b->standing <= ROUTE_NO_MODEL && a->has_model != b->has_model)
        return a->has_model ? -1 : 1;
    if (a->standing != b->standing)
        return a->standing < b->standing ? -1 : 1;
    bool a_degraded = str_eq(a->status, worker_status_words[WORKER_DEGRADED]),
         b_degraded = str_eq(b->status, worker_status_words[WORKER_DEGRADED]);
    if (a_degraded != b_degraded)
        return a_degraded ? 1 : -1;
    if (a->in_flight != b->in_flight)
        return a->in_flight < b->in_flight ? -1 : 1;
    if (a_load < b_load || a_load > b_load)
        return a_load < b_load ? -1 : 1;
    size_t len = a->worker_id.len < b->worker_id.len ? a->worker_id.len : b->worker_id.len;
    int order = memcmp(a->worker_id.ptr, b->worker_id.ptr, len);
    return order != 0 ? order : (a->worker_id.len > b->worker_id.len) - (a->worker_id.len < b->worker_id.len);
}

/* Reads the standing of a worker from the texts of its row. loads: the service loads models on demand. */
static enum route_standing read_standing(const struct str *texts, bool has_model, bool loads)
{
    static const struct {
        const char *word;
        enum route_standing standing;
    } words[] = {{"suspect", ROUTE_SUSPECT}, {"tried", ROUTE_TRIAL}, {"open", ROUTE_OPEN}};
    if (!str_eq(texts[2], STR("1")))
        return ROUTE_NOT_SERVICE;
    if (str_eq(texts[1], worker_status_words[WORKER_OFFLINE]))
        return ROUTE_OFFLINE;
    if (str_eq(texts[1], worker_status_words[WORKER_DRAINING]))
        return ROUTE_DRAINING;
    if (str_eq(texts[3], STR("1")))
        return ROUTE_UNWELL;
    if (!has_model && !loads && !str_eq(texts[4], STR("-")))
        return ROUTE_OTHERS;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_eq(texts[9], str_from(words[i].word)))
            return words[i].standing;
    return has_model ? ROUTE_ELIGIBLE : ROUTE_NO_MODEL;
}

static void copy_text(char *room, size_t size, struct str *text)
{
    text->len = text->len < size ? text->len : size;
    memcpy(room, text->ptr, text->len);
    text->ptr = room;
}

/* Inserts a row in order. If there are too many rows, drops the last one. */
static void insert_row(struct explaining *explaining, const struct route_row *row)
{
    struct kept_row *rows = explaining->rows;
    size_t at = 0;
    while (at < explaining->count && by_choice(&rows[at].row, row) < 0)
        at++;
    if (at < explaining->count && str_eq(rows[at].row.worker_id, row->worker_id))
        return; /* HSCAN may return a worker twice */
    if (explaining->count == STORE_ROUTE_MAX) {
        ++*explaining->left_out;
        if (at == STORE_ROUTE_MAX)
            return;
        explaining->count--;
    }
    for (size_t i = explaining->count; i > at; i--) {
        rows[i] = rows[i - 1];
        rows[i].row.worker_id.ptr = rows[i].id;
        rows[i].row.status.ptr = rows[i].status;
    }
    rows[at].row = *row;
    copy_text(rows[at].id, sizeof(rows[at].id), &rows[at].row.worker_id);
    copy_text(rows[at].status, sizeof(rows[at].status), &rows[at].row.status);
    explaining->count++;
}

static void take_row(struct explaining *explaining, const struct redisReply *reply, size_t at)
{
    struct str texts[ROW_FIELDS];
    for (size_t i = 0; i < ROW_FIELDS; i++) {
        texts[i] = reply_text(reply_element(reply, at + i));
        if (texts[i].ptr == NULL)
            return;
    }
    struct route_row row = {.worker_id = texts[0], .status = texts[1]};
    row.has_model = str_eq(texts[4], STR("1"));
    row.standing = read_standing(texts, row.has_model, catalogue_passing(buffer_str(&explaining->service))->loads_models);
    row.is_near = str_eq(texts[5], STR("1"));
    row.load = strtod(texts[6].ptr, NULL) / 1e6; /* Redis's texts end in NUL */
    row.active_requests = strtoll(texts[7].ptr, NULL, 10);
    row.in_flight = strtoll(texts[8].ptr, NULL, 10);
    if (row.active_requests < row.in_flight)
        row.active_requests = row.in_flight;
    row.failures = strtoll(texts[10].ptr, NULL, 10);
    row.left_ms = strtoll(texts[11].ptr, NULL, 10);
    insert_row(explaining, &row);
}

static void end_explaining(struct explaining *explaining, enum err err)
{
    for (size_t i = 0; err == ERR_NONE && i < explaining->count; i++)
        explaining->callback(explaining->data, &explaining->rows[i].row);
    explaining->done(explaining->data, err);
    buffer_fini(&explaining->service);
    buffer_fini(&explaining->model);
    for (size_t i = 0; i < explaining->count; i++)
        endpoints_fini(&explaining->rows[i].endpoints);
    free(explaining->rows);
    free(explaining);
}

static void read_place(struct explaining *explaining);

static void on_place(void *data, enum err err, const struct worker *worker, int64_t now)
{
    struct explaining *explaining = data;
    struct kept_row *kept = &explaining->rows[explaining->places_read++];
    (void)now;
    if (err == ERR_NONE) {
        endpoints_find(&kept->endpoints, worker, buffer_str(&explaining->service));
        kept->row.endpoints = &kept->endpoints;
    }
    read_place(explaining);
}

/* Reads the endpoints of the next worker that may get requests, now or soon. Ends after the last one; such workers come first. */
static void read_place(struct explaining *explaining)
{
    const struct kept_row *next = &explaining->rows[explaining->places_read];
    if (explaining->places_read == explaining->count || next->row.standing > ROUTE_OPEN ||
        store_get(explaining->paging.store, next->row.worker_id, on_place, explaining) != ERR_NONE)
        end_explaining(explaining, ERR_NONE);
}

static void on_route_rows(void *data, enum err err, const struct redisReply *reply)
{
    struct explaining *explaining = data;
    bool last = err != ERR_NONE || take_cursor(&explaining->paging, reply);
    for (size_t i = 1; err == ERR_NONE && reply_element(reply, i + ROW_FIELDS - 1) != NULL; i += ROW_FIELDS)
        take_row(explaining, reply, i);
    if (!last)
        err = ask_page(&explaining->paging, ROUTE_EXPLAIN_cursor);
    if (err != ERR_NONE)
        end_explaining(explaining, err);
    else if (last)
        read_place(explaining);
}

enum err store_explain_route(struct store *store, struct str service, struct str model, int64_t *left_out,
                             store_route_callback *row, store_callback *done, void *data)
{
    struct explaining *explaining = store_alloc(sizeof(*explaining));
    *explaining = (struct explaining){.left_out = left_out, .callback = row, .done = done, .data = data};
    buffer_append(&explaining->service, service);
    buffer_append(&explaining->model, model);
    explaining->args[ROUTE_EXPLAIN_service] = buffer_str(&explaining->service);
    explaining->args[ROUTE_EXPLAIN_model] = buffer_str(&explaining->model);
    explaining->args[ROUTE_EXPLAIN_region] = store->config->region;
    explaining->paging = (struct paging){store, SCRIPT_route_explain, explaining->args, "0", on_route_rows, explaining};
    explaining->rows = store_alloc(STORE_ROUTE_MAX * sizeof(*explaining->rows));
    *left_out = 0;
    store_sweep_first(store);
    enum err err = ask_page(&explaining->paging, ROUTE_EXPLAIN_cursor);
    if (err != ERR_NONE) {
        buffer_fini(&explaining->service);
        buffer_fini(&explaining->model);
        free(explaining->rows);
        free(explaining);
    }
    return err;
}

/* -- how many requests there are ----------------------------------------------------------------------------------------------- */

struct counting {
    store_request_count_callback *row;
    store_callback *done;
    void *data;
};

static void on_request_counts(void *data, enum err err, const struct redisReply *reply)
{
    struct counting *counting = data;
    for (size_t i = 0; err == ERR_NONE && reply_element(reply, i + 2) != NULL; i += 3) {
        struct request_count count = {.service = reply_text(reply_element(reply, i))};
        count.in_flight = reply_number(reply_element(reply, i + 1));
        count.served = reply_number(reply_element(reply, i + 2));
        if (count.in_flight < 0) /* somebody has written it with redis-cli */
            count.in_flight = 0;
        if (count.served < 0)
            count.served = 0;
        if (id_is_valid(count.service) && (count.in_flight > 0 || count.served > 0))
            counting->row(counting->data, &count);
    }
    counting->done(counting->data, err);
    free(counting);
}

enum err store_request_counts(struct store *store, store_request_count_callback *row, store_callback *done, void *data)
{
    struct counting *counting = store_alloc(sizeof(*counting));
    *counting = (struct counting){row, done, data};
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_requests, NULL, 0);
    enum err err = store_run_swept(store, SCRIPT_requests, &command, on_request_counts, counting);
    if (err != ERR_NONE)
        free(counting);
    return err;
}
