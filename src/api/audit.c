/*
 * GET /api/admin/audit: the entries of the audit (who did what to what), newest first.
 */
#include "api/api.h"
#include "base/digits.h"
#include "base/json_writer.h"
#include "http/reply.h"
#include "store/credentials.h"

#define ENTRIES_MAX 500
#define ENTRIES 100

struct reading_audit {
    struct pending *pending;
    struct buffer body;
    char last[48]; /* the id of the last entry */
    int count, wanted;
    bool more; /* another entry follows the last one */
};

static void on_entry(void *data, const struct audit_entry *entry)
{
    struct reading_audit *reading = data;
    struct buffer *body = &reading->body;
    reading->more = reading->count == reading->wanted;
    if (reading->more)
        return;
    json_begin_object(body, NULL);
    json_add_text(body, "id", entry->id);
    json_add_time(body, "time", entry->time);
    json_add_text(body, "who", entry->who);
    json_add_text(body, "address", entry->address);
    json_add_text(body, "coordinator", entry->coordinator);
    json_add_text(body, "action", entry->action);
    json_add_text(body, "target", entry->target);
    json_add_text(body, "outcome", entry->outcome);
    json_end_object(body);
    reading->count++;
    size_t len = entry->id.len < sizeof(reading->last) ? entry->id.len : sizeof(reading->last) - 1;
    memcpy(reading->last, entry->id.ptr, len);
    reading->last[len] = '\0';
}

static void on_end(void *data, enum err err)
{
    struct reading_audit *reading = data;
    struct buffer body = reading->body;
    struct str last = {NULL, 0};
    char room[sizeof(reading->last)];
    memcpy(room, reading->last, sizeof(room));
    if (reading->more)
        last = str_from(room);
    struct request *request = api_resume(reading->pending, err);
    if (request != NULL) {
        json_end_array(&body);
        json_add_text(&body, "next_cursor", last);
        json_end_object(&body);
        reply_json(request, 200, &body);
    }
    buffer_fini(&body);
}

static bool is_number(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return text.len > 0 && text.len < DIGITS_MAX; /* so that it fits Redis's 64 bits */
}

/* Whether a cursor can be an entry's id: "<ms>-<number>". "0-0" is no entry's id. */
static bool is_entry_id(struct str id)
{
    struct str rest = id, ms = str_cut(&rest, '-');
    return is_number(ms) && is_number(rest) && !str_eq(id, STR("0-0"));
}

void api_audit(struct request *request)
{
    struct faults faults = FAULTS_INIT;
    char room[48];
    int wanted = ENTRIES;
    struct str cursor = request_query(request, "cursor", room, sizeof(room));
    api_query_number(request, "limit", ENTRIES_MAX, &wanted, &faults);
    if (cursor.ptr != NULL && !is_entry_id(cursor))
        faults_add(&faults, "cursor", "must be the next_cursor of an answer");
    if (faults.count > 0) {
        api_refuse(request, ERR_INVALID, NULL, &faults);
        return;
    }
    struct pending *pending = api_wait(request, sizeof(struct reading_audit));
    struct reading_audit *reading = pending_payload(pending);
    reading->pending = pending;
    reading->wanted = wanted;
    json_begin_object(&reading->body, NULL);
    json_begin_array(&reading->body, "entries");
    enum err err = store_audit_read(reading_store(request), cursor, (size_t)wanted + 1, on_entry, on_end, reading);
    if (err != ERR_NONE)
        on_end(reading, err);
}
