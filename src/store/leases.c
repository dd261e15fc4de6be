/*
 * What workers do with tasks: they ask for them, complete them, fail at them, extend their leases, and give them back.
 */
#include "store/leases.h"

#include "store/batch.h"
#include "store/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define LEASE_FIELDS 11 /* strings of a task in an answer, see lua/task_lease.lua */
#define ANSWER_FIELDS 4 /* strings before them */

struct asking {
    store_answer_callback *callback;
    void *data;
};

static bool read_kind(struct str word, enum answer_kind *kind)
{
    static const char *const words[] = {
        [ANSWER_GIVEN] = "given",   [ANSWER_PARKED] = "parked", [ANSWER_NONE] = "none",       [ANSWER_DUE] = "due",
        [ANSWER_CLOSED] = "closed", [ANSWER_OTHERS] = "others", [ANSWER_UNKNOWN] = "unknown",
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_eq(word, str_from(words[i]))) {
            *kind = (enum answer_kind)i;
            return true;
        }
    }
    return false;
}

static void on_answer(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    struct asking *asking = data;
    struct asked answer = {.reply = reply_element(reply, index)};
    if (err == ERR_NONE && !read_kind(reply_text(reply_element(answer.reply, 0)), &answer.kind))
        err = ERR_INTERNAL;
    if (err == ERR_NONE) {
        answer.now = reply_text(reply_element(answer.reply, 1));
        answer.lost = reply_text(reply_element(answer.reply, 2));
        answer.cancel = reply_text(reply_element(answer.reply, 3));
        answer.count = (answer.reply->elements - ANSWER_FIELDS) / LEASE_FIELDS;
    }
    asking->callback(asking->data, err, err == ERR_NONE ? &answer : NULL);
    free(asking);
}

struct lease asked_lease(const struct asked *answer, size_t i)
{
    struct str texts[LEASE_FIELDS];
    for (size_t field = 0; field < LEASE_FIELDS; field++)
        texts[field] = reply_text(reply_element(answer->reply, ANSWER_FIELDS + i * LEASE_FIELDS + field));
    return (struct lease){texts[0], texts[1], texts[2], texts[3], texts[4], texts[5],
                          texts[6], texts[7], texts[8], texts[9], texts[10]};
}

static struct str or_else(struct str text, struct str otherwise)
{
    return text.len > 0 ? text : otherwise;
}

/* Writes a worker's id, and after a blank the join token with which the caller came, if any; see lua/lib/task_owners.lua. */
static void write_worker(struct buffer *out, struct str worker_id, struct str join)
{
    buffer_append(out, worker_id);
    if (join.len > 0) {
        buffer_append(out, STR(" "));
        buffer_append(out, join);
    }
}

static void add_worker(struct buffer *out, struct str worker_id, struct str join)
{
    struct buffer text = BUFFER_INIT;
    write_worker(&text, worker_id, join);
    command_add(out, buffer_str(&text));
    buffer_fini(&text);
}

enum err store_ask(struct store *store, const struct ask *ask, store_answer_callback *callback, void *data)
{
    struct buffer *out = batch_begin(store, SCRIPT_task_lease);
    if (out == NULL)
        return ERR_UNAVAILABLE;
    char nonce[20];
    snprintf(nonce, sizeof(nonce), "%016llx", (unsigned long long)store_random());
    add_worker(out, ask->worker_id, ask->join);
    command_add_number(out, ask->max);
    command_add(out, or_else(ask->queues, STR("*")));
    command_add(out, or_else(ask->id, STR("-")));
    command_add(out, str_from(nonce));
    command_add(out, ask->one_by_one ? STR("again") : ask->lost ? STR("lost") : ask->swept ? STR("swept") : STR(""));
    command_add(out, or_else(ask->waiter, STR("")));
    command_add(out, or_else(ask->since, STR("")));
    command_add_number(out, ask->wait_ms);
    command_add(out, or_else(ask->lane, STR("")));
    struct asking *asking = store_alloc(sizeof(*asking));
    *asking = (struct asking){callback, data};
    /* answers with many tasks are long, so only a few asks share a call */
    batch_add(store, SCRIPT_task_lease, 10, false, on_answer, asking);
    return ERR_NONE;
}

static void on_told(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    (void)data, (void)err, (void)reply, (void)index; /* a lost call only costs time: those who wait look again */
}

/*
 * Adds a string to the next call of a script, without waiting for its reply. Thousands of clients may leave in one turn, more than
 * there may be commands under way.
 */
static void tell(struct store *store, enum script script, struct str string)
{
    struct buffer *out = batch_begin(store, script);
    if (out == NULL)
        return;
    command_add(out, string);
    batch_add(store, script, 1, true, on_told, NULL);
}

void store_unpark(struct store *store, struct str waiter)
{
    tell(store, SCRIPT_task_unpark, waiter);
}

void store_wake_another(struct store *store, struct str lane)
{
    tell(store, SCRIPT_task_wake, lane);
}

void store_watch_task(struct store *store, struct str task_id)
{
    struct str args[TASK_WATCH_ARGS] = {[TASK_WATCH_thread] = str_from(store_thread_name(store)), [TASK_WATCH_id] = task_id};
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_task_watch, args, 0);
    enum err err = link_run(store->link, SCRIPT_task_watch, &command, NULL, NULL);
    (void)err; /* those who wait read the task again */
}

struct telling {
    store_task_news_callback *callback;
    void *data;
};

static void on_news(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    struct telling *telling = data;
    const struct redisReply *answer = reply_element(reply, index);
    struct task_news news = {reply_number(reply_element(answer, 0)), reply_text(reply_element(answer, 1)),
                             reply_text(reply_element(answer, 2))};
    telling->callback(telling->data, err, err == ERR_NONE ? &news : NULL);
    free(telling);
}

enum err store_task_news(struct store *store, struct str worker_id, bool told, struct str tasks, store_task_news_callback *callback,
                         void *data)
{
    struct buffer *out = batch_begin(store, SCRIPT_task_news);
    size_t count = 0;
    if (out == NULL)
        return ERR_UNAVAILABLE;
    for (struct str rest = tasks; rest.len > 0; count++)
        str_cut(&rest, ' ');
    command_add(out, worker_id);
    command_add_number(out, told ? (long long)count : -1);
    while (tasks.len > 0)
        command_add(out, str_cut(&tasks, ' '));
    struct telling *telling = store_alloc(sizeof(*telling));
    *telling = (struct telling){callback, data};
    batch_add(store, SCRIPT_task_news, 2 + count, false, on_news, telling);
    return ERR_NONE;
}

/* The callback of a call that ends a task or an attempt. */
struct ending {
    store_task_change_callback *callback;
    void *data;
};

static bool read_outcome(struct str word, enum task_outcome *outcome)
{
    static const struct {
        const char *word;
        enum task_outcome outcome;
    } words[] = {{"completed", TASK_DONE},     {"failed", TASK_DONE},     {"held", TASK_DONE},    {"lost", TASK_LOST},
                 {"conflict", TASK_NOT_YOURS}, {"unknown", TASK_UNKNOWN}, {"others", TASK_OTHERS}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_eq(word, str_from(words[i].word))) {
            *outcome = words[i].outcome;
            return true;
        }
    }
    return false;
}

static void on_ended(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    struct ending *ending = data;
    struct task_change change = {.state = {NULL, 0}};
    struct str rest = reply_text(reply_element(reply, index));
    struct str word = str_cut(&rest, ' ');
    if (err == ERR_NONE && !read_outcome(word, &change.outcome))
        err = ERR_INTERNAL;
    if (err == ERR_NONE && str_eq(word, STR("completed")))
        change.state = STR("completed");
    if (err == ERR_NONE && rest.len > 0) {
        change.state = str_cut(&rest, ' ');
        if (rest.ptr != NULL)
            change.time = strtoll(rest.ptr, NULL, 10); /* Redis's texts end in NUL */
    }
    ending->callback(ending->data, err, err == ERR_NONE ? &change : NULL);
    free(ending);
}

static struct buffer *begin_ending(struct store *store, enum script script, const struct holding *holding)
{
    struct buffer *out = batch_begin(store, script);
    if (out == NULL)
        return NULL;
    add_worker(out, holding->worker_id, holding->join);
    command_add(out, holding->task_id);
    command_add(out, or_else(holding->lease, STR("")));
    return out;
}

static void add_ending(struct store *store, enum script script, size_t strings, bool more, store_task_change_callback *callback,
                       void *data)
{
    struct ending *ending = store_alloc(sizeof(*ending));
    *ending = (struct ending){callback, data};
    batch_add(store, script, strings, more, on_ended, ending);
}

enum err store_complete_task(struct store *store, const struct holding *holding, struct str result, bool more,
                             store_task_change_callback *callback, void *data)
{
    struct buffer *out = begin_ending(store, SCRIPT_task_complete, holding);
    if (out == NULL)
        return ERR_UNAVAILABLE;
    command_add(out, result);
    add_ending(store, SCRIPT_task_complete, 4, more, callback, data);
    return ERR_NONE;
}

enum err store_fail_task(struct store *store, const struct holding *holding, struct str error, bool retryable,
                         int64_t retry_after_ms, bool more, store_task_change_callback *callback, void *data)
{
    struct buffer *out = begin_ending(store, SCRIPT_task_fail, holding);
    if (out == NULL)
        return ERR_UNAVAILABLE;
    char after[24] = "", random[24];
    if (retry_after_ms >= 0)
        snprintf(after, sizeof(after), "%lld", (long long)retry_after_ms);
    snprintf(random, sizeof(random), "%.9f", (double)(store_random() >> 11) / (double)(UINT64_C(1) << 53));
    command_add(out, error);
    command_add(out, retryable ? STR("1") : STR("0"));
    command_add(out, str_from(after));
    command_add(out, str_from(random));
    add_ending(store, SCRIPT_task_fail, 7, more, callback, data);
    return ERR_NONE;
}

struct touching {
    store_touched_callback *callback;
    void *data;
};

static void on_touched(void *data, enum err err, const struct redisReply *reply)
{
    struct touching *touching = data;
    struct touched touched = {.deadline = reply_number(reply_element(reply, 1))};
    touched.cancel = str_eq(reply_text(reply_element(reply, 2)), STR("1"));
    if (err == ERR_NONE && !read_outcome(reply_text(reply_element(reply, 0)), &touched.outcome))
        err = ERR_INTERNAL;
    touching->callback(touching->data, err, err == ERR_NONE ? &touched : NULL);
    free(touching);
}

enum err store_touch_task(struct store *store, const struct holding *holding, int64_t extend_ms, double percent, struct str message,
                          store_touched_callback *callback, void *data)
{
    char extend[24] = "", part[32] = "";
    if (extend_ms >= 0)
        snprintf(extend, sizeof(extend), "%lld", (long long)extend_ms);
    if (percent >= 0)
        snprintf(part, sizeof(part), "%.6g", percent);
    struct buffer worker = BUFFER_INIT;
    write_worker(&worker, holding->worker_id, holding->join);
    struct str args[TASK_TOUCH_ARGS] = {
        [TASK_TOUCH_worker_id] = buffer_str(&worker), [TASK_TOUCH_task_id] = holding->task_id, [TASK_TOUCH_lease] = holding->lease,
        [TASK_TOUCH_extend] = str_from(extend),       [TASK_TOUCH_percent] = str_from(part),   [TASK_TOUCH_message] = message,
    };
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_task_touch, args, 0);
    buffer_fini(&worker);
    struct touching *touching = store_alloc(sizeof(*touching));
    *touching = (struct touching){callback, data};
    enum err err = link_run(store->link, SCRIPT_task_touch, &command, on_touched, touching);
    if (err != ERR_NONE)
        free(touching);
    return err;
}
