/*
 * Explains why a task is in its state: GET /api/tasks/{task_id}/explain.
 */
#include "api/api.h"
#include "base/json_writer.h"
#include "base/percent.h"
#include "http/reply.h"
#include "model/labels.h"
#include "store/tasks.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* An answer while it is written: the reasons as elements of an array, and their sentences as one text. */
struct account {
    const struct explanation *told;
    struct buffer reasons, text;
    int64_t now;
    bool may_begin; /* the task waits neither for a paused queue nor for a worker that can do it and has room, nor expires first */
};

static struct str text_of(const struct account *account, const char *name)
{
    return explanation_text(account->told, name);
}

static int64_t number_of(const struct account *account, const char *name)
{
    return explanation_number(account->told, name, -1);
}

/* Returns how many tasks of its queue are under way. */
static int64_t leased_of(const struct account *account)
{
    return explanation_number(account->told, "leased", 0);
}

/* Begins the object of a reason with its code and its sentence. The caller adds other members and ends it. */
static struct buffer *begin_reason(struct account *account, const char *code, const struct buffer *text)
{
    struct buffer *out = &account->reasons;
    if (account->text.len > 0)
        buffer_append(&account->text, STR(" "));
    buffer_append(&account->text, buffer_str(text));
    json_begin_object(out, NULL);
    json_add_text(out, "code", str_from(code));
    json_add_text(out, "text", buffer_str(text));
    return out;
}

/* -- its demands --------------------------------------------------------------------------------------------------------------- */

/* The value is encoded, see labels_read. */
static void write_label(struct buffer *out, struct str name, struct str value)
{
    char room[LABEL_VALUE_MAX];
    struct str decoded;
    if (!percent_decode(value, false, room, sizeof(room), &decoded))
        decoded = value;
    buffer_printf(out, "labelled %.*s=%.*s", STR_PRINTF(name), STR_PRINTF(decoded));
}

/* Appends "of tier 1", "with service ocr" for "tier=1", "service=ocr". */
static void write_demand(struct buffer *out, struct str demand)
{
    struct str value = demand;
    struct str name = str_cut(&value, '=');
    if (out->len > 0)
        buffer_append(out, STR(" and "));
    if (str_eq(name, STR("tier")))
        buffer_printf(out, "of tier %.*s", STR_PRINTF(value));
    else if (str_eq(name, STR("gpu")))
        buffer_printf(out, "with %.1f GB of GPU memory", strtod(value.ptr, NULL) / 1e9);
    else if (str_eq(name, STR("region")))
        buffer_printf(out, "in region %.*s", STR_PRINTF(value));
    else if (name.len > 6 && memcmp(name.ptr, "label.", 6) == 0)
        write_label(out, (struct str){name.ptr + 6, name.len - 6}, value);
    else
        buffer_printf(out, "with %.*s %.*s", STR_PRINTF(name), STR_PRINTF(value));
}

/* Appends in words what a task demands of a worker; appends nothing if any worker will do. */
static void write_demands(struct buffer *out, struct str group, struct str shape)
{
    static const struct {
        char letter;
        const char *name;
    } groups[] = {{'w', "id"}, {'m', "model"}, {'s', "service"}, {'t', "tier"}};
    for (size_t i = 0; group.len > 2 && i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (groups[i].letter != group.ptr[0])
            continue;
        struct buffer demand = BUFFER_INIT;
        buffer_printf(&demand, "%s=%.*s", groups[i].name, (int)group.len - 2, group.ptr + 2);
        write_demand(out, buffer_str(&demand));
        buffer_fini(&demand);
    }
    while (shape.len > 0)
        write_demand(out, str_cut(&shape, ';'));
}

/* -- the reasons --------------------------------------------------------------------------------------------------------------- */

static void write_moment(struct buffer *out, int64_t ms)
{
    size_t at = out->len;
    buffer_json_time(out, ms);
    memmove(out->ptr + at, out->ptr + at + 1, out->len - at - 2); /* without the quotes */
    out->len -= 2;
}

static void say_not_before(struct account *account)
{
    int64_t moment = number_of(account, "available_at");
    struct buffer text = BUFFER_INIT;
    bool again = number_of(account, "attempts") > 0;
    buffer_append(&text, again ? STR("An attempt failed; the next one is not before ") : STR("It is not to begin before "));
    write_moment(&text, moment);
    buffer_append(&text, STR("."));
    struct buffer *out = begin_reason(account, again ? "retry-not-before" : "not-before", &text);
    json_add_time(out, "at", moment);
    json_end_object(out);
    buffer_fini(&text);
}

static void say_expires_first(struct account *account, int64_t moment)
{
    struct buffer text = BUFFER_INIT;
    buffer_append(&text, STR("It never begins, since it expires at "));
    write_moment(&text, moment);
    buffer_append(&text, STR("."));
    struct buffer *out = begin_reason(account, "expires-first", &text);
    json_add_time(out, "at", moment);
    json_end_object(out);
    buffer_fini(&text);
    account->may_begin = false;
}

static void say_paused(struct account *account)
{
    struct buffer text = BUFFER_INIT;
    struct str queue = text_of(account, "queue");
    buffer_printf(&text, "Queue %.*s is paused.", STR_PRINTF(queue));
    struct buffer *out = begin_reason(account, "queue-paused", &text);
    json_add_text(out, "queue", queue);
    json_end_object(out);
    buffer_fini(&text);
    account->may_begin = false;
}

static void say_limit(struct account *account, int64_t limit, int64_t leased)
{
    struct buffer text = BUFFER_INIT;
    struct str queue = text_of(account, "queue"), holders = text_of(account, "held_by");
    buffer_printf(&text, "Queue %.*s has %" PRId64 " of %" PRId64 " tasks that it may have under way", STR_PRINTF(queue), leased,
                  limit);
    struct buffer ids = BUFFER_INIT;
    json_begin_array(&ids, NULL);
    for (const char *before = ", held by "; holders.len > 0; before = ", ") {
        struct str holder = str_cut(&holders, ' ');
        buffer_printf(&text, "%s%.*s", before, STR_PRINTF(holder));
        json_add_text(&ids, NULL, holder);
    }
    json_end_array(&ids);
    buffer_append(&text, STR("."));
    struct buffer *out = begin_reason(account, "queue-limit", &text);
    json_add_integer(out, "limit", limit);
    json_add_integer(out, "leased", leased);
    json_add_raw(out, "held_by", buffer_str(&ids));
    json_end_object(out);
    buffer_fini(&ids);
    buffer_fini(&text);
}

/* Says that no live worker that can do it takes work. */
static void say_nobody(struct account *account)
{
    int64_t offline = number_of(account, "offline"), closed = number_of(account, "closed");
    int64_t since = number_of(account, "offline_since"), counted = number_of(account, "counted");
    struct buffer text = BUFFER_INIT, demands = BUFFER_INIT;
    write_demands(&demands, text_of(account, "group"), text_of(account, "shape"));
    buffer_printf(&text, "No live worker%s%.*s takes work", demands.len > 0 ? " " : "", STR_PRINTF(buffer_str(&demands)));
    if (closed > 0)
        buffer_printf(&text, ": %" PRId64 " draining", closed);
    if (offline > 0)
        buffer_printf(&text, "%s%" PRId64 " offline", closed > 0 ? ", " : ": ", offline);
    if (offline > 0 && since > 0) {
        buffer_append(&text, offline > 1 ? STR(", the longest since ") : STR(" since "));
        write_moment(&text, since);
    }
    if (counted < number_of(account, "all"))
        buffer_printf(&text, " (of the %" PRId64 " workers looked at)", counted);
    buffer_append(&text, STR("."));
    struct buffer *out = begin_reason(account, "no-worker", &text);
    json_add_text(out, "demands", demands.len > 0 ? buffer_str(&demands) : STR(""));
    json_add_integer(out, "draining", closed > 0 ? closed : 0);
    json_add_integer(out, "offline", offline > 0 ? offline : 0);
    if (since > 0)
        json_add_time(out, "offline_since", since);
    json_end_object(out);
    buffer_fini(&demands);
    buffer_fini(&text);
    account->may_begin = false;
}

/* Says that each of the `able` workers that can do it holds as many tasks as a worker may. */
static void say_full(struct account *account, int64_t able)
{
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "%" PRId64 " live worker%s can do it, but hold%s as many tasks as a worker may.", able,
                  able == 1 ? "" : "s", able == 1 ? "s" : "");
    struct buffer *out = begin_reason(account, "workers-full", &text);
    json_add_integer(out, "workers", able);
    json_end_object(out);
    buffer_fini(&text);
    account->may_begin = false;
}

static void say_position(struct account *account, int64_t position, int64_t of)
{
    struct buffer text = BUFFER_INIT;
    struct str queue = text_of(account, "queue");
    int64_t able = number_of(account, "able");
    buffer_printf(&text, "It is number %" PRId64 " of %" PRId64 " in queue %.*s; %" PRId64 " live worker%s can do it.", position,
                  of, STR_PRINTF(queue), able, able == 1 ? "" : "s");
    struct buffer *out = begin_reason(account, "position", &text);
    json_add_integer(out, "position", position);
    json_add_integer(out, "of", of);
    json_add_integer(out, "workers", able);
    json_end_object(out);
    buffer_fini(&text);
}

static void say_under_way(struct account *account)
{
    struct buffer text = BUFFER_INIT;
    struct str worker_id = text_of(account, "worker_id");
    int64_t started = number_of(account, "started_at"), deadline = number_of(account, "deadline");
    bool cancelling = text_of(account, "cancel").len > 0;
    buffer_printf(&text, "Worker %.*s has been working on it since ", STR_PRINTF(worker_id));
    write_moment(&text, started > 0 ? started : account->now);
    buffer_append(&text, cancelling ? STR(" and will be told to cancel it.") : STR("."));
    struct buffer *out = begin_reason(account, cancelling ? "cancelling" : "under-way", &text);
    json_add_text(out, "worker_id", worker_id);
    if (started > 0)
        json_add_time(out, "since", started);
    if (deadline > 0)
        json_add_time(out, "lease_until", deadline);
    json_end_object(out);
    buffer_fini(&text);
}

static void say_ended(struct account *account, struct str state)
{
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "It has ended: it is %.*s.", STR_PRINTF(state));
    json_end_object(begin_reason(account, "ended", &text));
    buffer_fini(&text);
}

/* Says that the worker that failed at it last does not get it again before `until`. */
static void say_elsewhere(struct account *account, int64_t until)
{
    struct buffer text = BUFFER_INIT;
    struct str worker_id = text_of(account, "avoid");
    buffer_printf(&text, "Worker %.*s failed at it and is not to have it again before ", STR_PRINTF(worker_id));
    write_moment(&text, until);
    buffer_append(&text, STR("."));
    struct buffer *out = begin_reason(account, "retry-elsewhere", &text);
    json_add_text(out, "worker_id", worker_id);
    json_add_time(out, "until", until);
    json_end_object(out);
    buffer_fini(&text);
}

/* Says why no worker has it yet. */
static void say_why_it_waits(struct account *account, bool queued)
{
    int64_t limit = number_of(account, "limit"), leased = leased_of(account);
    int64_t expires = number_of(account, "expires_at");
    account->may_begin = true;
    if (!queued)
        say_not_before(account);
    if (!queued && expires > 0 && expires <= number_of(account, "available_at"))
        say_expires_first(account, expires);
    if (text_of(account, "paused").len > 0)
        say_paused(account);
    if (limit >= 0 && leased >= limit)
        say_limit(account, limit, leased);
    if (number_of(account, "avoided_until") > 0)
        say_elsewhere(account, number_of(account, "avoided_until"));
    int64_t able = number_of(account, "able");
    if (queued && able > 0 && number_of(account, "full") >= able)
        say_full(account, able);
    if (able <= 0)
        say_nobody(account);
    else if (queued)
        say_position(account, number_of(account, "position"), number_of(account, "of"));
}

/* Estimates in how many seconds it begins; negative: that can't be known. */
static double eta(const struct account *account, bool queued)
{
    int64_t limit = number_of(account, "limit"), able = number_of(account, "able"), average = number_of(account, "average");
    int64_t leased = leased_of(account), avoided = number_of(account, "avoided_until");
    double wait = 0;
    if (!account->may_begin || limit == 0)
        return -1;
    if (!queued)
        wait = fmax(0, (double)(number_of(account, "available_at") - account->now)) / 1000;
    double at_once = limit > 0 && limit < able ? (double)limit : (double)able;
    double rounds = queued ? floor(fmax(0, (double)number_of(account, "ahead")) / at_once) : 0;
    if (limit > 0 && leased >= limit) /* so many must end before the next one begins */
        rounds += (double)(leased - limit + 1) / at_once;
    if (able == 1 && avoided > 0)
        wait = fmax(wait, (double)(avoided - account->now) / 1000);
    if (rounds > 0 && average <= 0)
        return -1;
    return wait + (rounds > 0 ? rounds * (double)average / 1000 : 0);
}

static void write_account(struct buffer *out, struct account *account, struct str task_id)
{
    struct str state = text_of(account, "state");
    bool queued = str_eq(state, STR("queued")), waits = queued || str_eq(state, STR("scheduled"));
    if (waits)
        say_why_it_waits(account, queued);
    else if (str_eq(state, STR("leased")))
        say_under_way(account);
    else
        say_ended(account, state);
    double seconds = waits ? eta(account, queued) : -1;
    json_begin_object(out, NULL);
    json_add_text(out, "task_id", task_id);
    json_add_text(out, "state", state);
    json_add_text(out, "text", buffer_str(&account->text));
    json_begin_array(out, "reasons");
    json_add_raw(out, NULL, buffer_str(&account->reasons));
    json_end_array(out);
    if (queued)
        json_add_integer(out, "position", number_of(account, "position"));
    else
        json_add_null(out, "position");
    if (seconds >= 0)
        json_add_number(out, "eta_seconds", seconds);
    else
        json_add_null(out, "eta_seconds");
    json_end_object(out);
}

static void on_explained(void *data, enum err err, const struct explanation *told)
{
    struct request *request = api_resume(data, err);
    if (request == NULL)
        return;
    struct account account = {.told = told, .now = explanation_number(told, "now", 0)};
    struct buffer body = BUFFER_INIT;
    write_account(&body, &account, request_parameter(request, "task_id"));
    buffer_fini(&account.reasons);
    buffer_fini(&account.text);
    reply_json(request, 200, &body);
}

void api_task_explain(struct request *request)
{
    const struct api *api = request_app(request);
    if (!api_check_id(request, "task_id"))
        return;
    struct pending *pending = api_wait(request, 0);
    api_sent(pending, store_explain_task(api->store, request_parameter(request, "task_id"), on_explained, pending));
}
