/*
 * Submits, reads, cancels, retries and explains single tasks.
 */
#include "store/tasks.h"

#include "store/batch.h"
#include "store/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* The callback of a call that makes or changes one task. */
struct changing {
    store_task_change_callback *callback;
    void *data;
};

static void tell_change(struct changing *changing, enum err err, const struct task_change *change)
{
    changing->callback(changing->data, err, err == ERR_NONE ? change : NULL);
    free(changing);
}

static struct changing *changing_new(store_task_change_callback *callback, void *data)
{
    struct changing *changing = store_alloc(sizeof(*changing));
    *changing = (struct changing){callback, data};
    return changing;
}

/* Returns the outcome that the first word of *rest means. *rest becomes the text after it. *err: ERR_INTERNAL if it means none. */
static enum task_outcome read_word(struct str *rest, enum err *err)
{
    static const struct {
        const char *word;
        enum task_outcome outcome;
    } words[] = {
        {"new", TASK_DONE},           {"same", TASK_SAME},   {"again", TASK_AGAIN},     {"other", TASK_OTHER},
        {"full", TASK_FULL},          {"queued", TASK_DONE}, {"blocked", TASK_BLOCKED}, {"alive", TASK_ENDED},
        {"cancelled", TASK_DONE},     {"ended", TASK_ENDED}, {"deleted", TASK_DELETED}, {"unknown", TASK_UNKNOWN},
        {"cancelling", TASK_TELLING}, {"moved", TASK_ENDED},
    };
    struct str word = str_cut(rest, ' ');
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_eq(word, str_from(words[i].word)))
            return words[i].outcome;
    *err = ERR_INTERNAL;
    return TASK_UNKNOWN;
}

static void on_submitted(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    struct task_change change = {.time = reply_number(reply_element(reply, 0))};
    if (err == ERR_NONE) {
        change.task_id = reply_text(reply_element(reply, index + 1));
        change.outcome = read_word(&change.task_id, &err);
    }
    tell_change(data, err, &change);
}

/* Makes an id: "t" and 20 hex digits. The random bytes come from a supply that the thread keeps. */
static struct str make_id(char room[TASK_ID_MAX])
{
    static __thread unsigned char supply[640];
    static __thread size_t left;
    if (left < 10) {
        if (getrandom(supply, sizeof(supply), 0) != (ssize_t)sizeof(supply))
            abort();
        left = sizeof(supply);
    }
    left -= 10;
    room[0] = 't';
    for (size_t i = 0; i < 10; i++)
        snprintf(room + 1 + 2 * i, 3, "%02x", supply[left + i]);
    return (struct str){room, 21};
}

static void add_field(struct buffer *out, size_t *count, const char *name, struct str value)
{
    if (value.len == 0)
        return;
    command_add(out, str_from(name));
    command_add(out, value);
    *count += 2;
}

static void add_ms(struct buffer *out, size_t *count, const char *name, int64_t ms, int64_t otherwise)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%lld", (long long)ms);
    add_field(out, count, name, ms >= 0 && ms != otherwise ? str_from(digits) : STR(""));
}

/* Adds the fields of a new task's hash whose values are not the defaults. Returns how many strings these are. */
static size_t add_fields(struct buffer *out, const struct submission *submission)
{
    size_t count = 0;
    char text[64];
    add_field(out, &count, "type", submission->type);
    add_field(out, &count, "payload", submission->payload);
    snprintf(text, sizeof(text), "%d", submission->priority);
    add_field(out, &count, "priority", submission->priority != 0 ? str_from(text) : STR(""));
    bool anybody = str_eq(buffer_str(&submission->group), STR("a"));
    add_field(out, &count, "group", anybody ? STR("") : buffer_str(&submission->group));
    add_field(out, &count, "shape", buffer_str(&submission->shape));
    add_field(out, &count, "requirements", submission->requirements);
    add_field(out, &count, "dedup", submission->dedup_key);
    add_field(out, &count, "by", submission->by);
    add_ms(out, &count, "max_attempts", submission->max_attempts, TASK_ATTEMPTS_DEFAULT);
    add_ms(out, &count, "lease_ms", submission->lease_ms, TASK_LEASE_DEFAULT_MS);
    add_ms(out, &count, "lease_max_ms", submission->lease_max_ms, -1);
    add_ms(out, &count, "result_ttl", submission->result_ttl_ms, TASK_RESULT_TTL_DEFAULT_MS);
    if (submission->retry_ms >= 0 || submission->retry_max_ms >= 0) {
        long long first = submission->retry_ms >= 0 ? submission->retry_ms : 5000;
        long long most = submission->retry_max_ms >= 0 ? submission->retry_max_ms : 900000;
        snprintf(text, sizeof(text), "%lld %lld", first, most > first ? most : first);
        add_field(out, &count, "backoff", str_from(text));
    }
    return count;
}

/* Adds when the task is due, and the ms after which it expires, as lua/task_enqueue.lua takes them. */
static void add_times(struct buffer *out, const struct submission *submission)
{
    char text[32] = "";
    if (submission->delay_ms > 0)
        snprintf(text, sizeof(text), "+%lld", (long long)submission->delay_ms);
    else if (submission->run_at >= 0)
        snprintf(text, sizeof(text), "%lld", (long long)submission->run_at);
    command_add(out, str_from(text));
    text[0] = '\0';
    if (submission->ttl_ms >= 0)
        snprintf(text, sizeof(text), "%lld", (long long)submission->ttl_ms);
    command_add(out, str_from(text));
}

/* Adds what to do if a live task has the same dedup key, as lua/task_enqueue.lua takes it. */
static void add_on_conflict(struct buffer *out, const struct submission *submission)
{
    struct buffer words = BUFFER_INIT;
    buffer_append(&words, submission->replace ? STR("replace") : STR("return"));
    if (submission->own)
        buffer_printf(&words, " %.*s", STR_PRINTF(submission->by));
    command_add(out, buffer_str(&words));
    buffer_fini(&words);
}

enum err store_submit(struct store *store, const struct submission *submission, struct str key, struct str body, bool more,
                      store_task_change_callback *callback, void *data)
{
    struct buffer *out = batch_begin(store, SCRIPT_task_enqueue);
    if (out == NULL)
        return ERR_UNAVAILABLE;
    char id[TASK_ID_MAX];
    struct buffer fields = BUFFER_INIT;
    size_t count = add_fields(&fields, submission);
    command_add(out, make_id(id));
    command_add(out, submission->queue);
    command_add(out, buffer_str(&submission->group));
    command_add(out, buffer_str(&submission->shape));
    command_add_number(out, submission->priority);
    add_times(out, submission);
    command_add(out, submission->dedup_key);
    add_on_conflict(out, submission);
    command_add(out, key);
    command_add(out, body);
    command_add_number(out, (long long)count);
    buffer_append(out, buffer_str(&fields));
    buffer_fini(&fields);
    batch_add(store, SCRIPT_task_enqueue, 12 + count, more, on_submitted, changing_new(callback, data));
    return ERR_NONE;
}

static void on_changed(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    struct task_change change = {.task_id = {NULL, 0}};
    if (err == ERR_NONE) {
        change.state = reply_text(reply_element(reply, index));
        change.outcome = read_word(&change.state, &err);
    }
    tell_change(data, err, &change);
}

/* Calls a script that takes ids of tasks, with one id. */
static enum err change_one(struct store *store, enum script script, struct str task_id, bool more,
                           store_task_change_callback *callback, void *data)
{
    struct buffer *out = batch_begin(store, script);
    if (out == NULL)
        return ERR_UNAVAILABLE;
    command_add(out, task_id);
    batch_add(store, script, 1, more, on_changed, changing_new(callback, data));
    return ERR_NONE;
}

enum err store_cancel_task(struct store *store, struct str task_id, store_task_change_callback *callback, void *data)
{
    return change_one(store, SCRIPT_task_cancel, task_id, false, callback, data);
}

enum err store_purge_task(struct store *store, struct str task_id, struct str state, store_task_change_callback *callback,
                          void *data)
{
    struct buffer *out = batch_begin(store, SCRIPT_task_purge);
    if (out == NULL)
        return ERR_UNAVAILABLE;
    command_add(out, task_id);
    command_add(out, state);
    batch_add(store, SCRIPT_task_purge, 2, true, on_changed, changing_new(callback, data));
    return ERR_NONE;
}

enum err store_retry_task(struct store *store, struct str task_id, bool more, store_task_change_callback *callback, void *data)
{
    return change_one(store, SCRIPT_task_retry, task_id, more, callback, data);
}

/* The callback of a call that reads or explains one task. */
struct getting {
    store_task_callback *task; /* one of the two is set */
    store_explanation_callback *explanation;
    void *data;
    struct buffer id;
};

static struct getting *getting_new(struct str task_id, struct getting with)
{
    struct getting *getting = store_alloc(sizeof(*getting));
    *getting = with;
    buffer_append(&getting->id, task_id);
    return getting;
}

static void getting_free(struct getting *getting)
{
    buffer_fini(&getting->id);
    free(getting);
}

static void on_task(void *data, enum err err, const struct redisReply *reply)
{
    struct getting *getting = data;
    struct task task = {.id = buffer_str(&getting->id)};
    for (size_t i = 0; i < TASK_FIELD_COUNT; i++)
        task.fields[i] = reply_text(reply_element(reply, i));
    if (err == ERR_NONE && task.fields[TASK_state].len == 0)
        err = ERR_TASK_NOT_FOUND;
    getting->task(getting->data, err, err == ERR_NONE ? &task : NULL);
    getting_free(getting);
}

enum err store_get_task(struct store *store, struct str task_id, store_task_callback *callback, void *data)
{
    char key[KEY_MAX];
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 2 + TASK_FIELD_COUNT);
    command_add(&command, STR("HMGET"));
    command_add(&command, key_task(key, task_id));
    for (size_t i = 0; i < TASK_FIELD_COUNT; i++)
        command_add(&command, task_field_names[i]);
    struct getting *getting = getting_new(task_id, (struct getting){.task = callback, .data = data});
    enum err err = link_send(store->link, &command, on_task, getting);
    if (err != ERR_NONE)
        getting_free(getting);
    return err;
}

struct explanation {
    const struct redisReply *pairs;
};

struct str explanation_text(const struct explanation *explanation, const char *name)
{
    for (size_t i = 0; reply_element(explanation->pairs, i + 1) != NULL; i += 2)
        if (str_eq(reply_text(reply_element(explanation->pairs, i)), str_from(name)))
            return reply_text(reply_element(explanation->pairs, i + 1));
    return (struct str){NULL, 0};
}

int64_t explanation_number(const struct explanation *explanation, const char *name, int64_t otherwise)
{
    struct str text = explanation_text(explanation, name);
    return text.len > 0 ? strtoll(text.ptr, NULL, 10) : otherwise; /* Redis's texts end in NUL */
}

static void on_explained(void *data, enum err err, const struct redisReply *reply)
{
    struct getting *getting = data;
    struct explanation explanation = {reply};
    getting->explanation(getting->data, err, err == ERR_NONE ? &explanation : NULL);
    getting_free(getting);
}

enum err store_explain_task(struct store *store, struct str task_id, store_explanation_callback *callback, void *data)
{
    struct str args[TASK_EXPLAIN_ARGS] = {[TASK_EXPLAIN_task_id] = task_id};
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_task_explain, args, 0);
    struct getting *getting = getting_new(task_id, (struct getting){.explanation = callback, .data = data});
    enum err err = link_run(store->link, SCRIPT_task_explain, &command, on_explained, getting);
    if (err != ERR_NONE)
        getting_free(getting);
    return err;
}
