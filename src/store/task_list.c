/*
 * Lists tasks, in pages.
 */
#include "base/ascii.h"
#include "store/internal.h"
#include "store/tasks.h"

#include <stdlib.h>

#define ROUNDS 10 /* calls for one listing; each looks at some hundred tasks */

struct listing {
    struct store *store;
    struct buffer queue, state, type, worker_id, error, cursor; /* the cursor as the script has it */
    size_t left;                                                /* rows still wanted */
    int rounds;
    store_task_row_callback *row;
    store_tasks_done_callback *done;
    void *data;
};

static void listing_free(struct listing *listing)
{
    buffer_fini(&listing->queue);
    buffer_fini(&listing->state);
    buffer_fini(&listing->type);
    buffer_fini(&listing->worker_id);
    buffer_fini(&listing->error);
    buffer_fini(&listing->cursor);
    free(listing);
}

/* Writes a cursor for clients in hex, since it has blanks and tabs. */
static void write_hex(struct buffer *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        buffer_printf(out, "%02x", (unsigned)(unsigned char)text.ptr[i]);
}

static bool read_hex(struct buffer *out, struct str hex)
{
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        int high = ascii_hex_value(hex.ptr[i]), low = ascii_hex_value(hex.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        char byte = (char)(high * 16 + low);
        buffer_append(out, (struct str){&byte, 1});
    }
    return hex.len % 2 == 0;
}

/* Whether a cursor is one of lua/task_list.lua: empty, or a queue ("*": leased tasks), a state, a lane, a score and an id. */
static bool is_cursor(struct str text)
{
    struct str words[5] = {{NULL, 0}};
    size_t count = 0;
    if (text.len == 0)
        return true;
    while (count < 5 && text.ptr != NULL)
        words[count++] = str_cut(&text, '\t');
    if (count < 5 || text.ptr != NULL)
        return false;
    for (size_t i = 0; i < words[3].len; i++)
        if (words[3].ptr[i] < '0' || words[3].ptr[i] > '9')
            return false;
    if (str_eq(words[0], STR("*")))
        return words[1].len == 0 && words[3].len == 0;
    return words[3].len > 0 && words[3].len <= 17 && words[1].len > 0 &&
           str_list_has(STR("queued,scheduled,dead,completed,cancelled,expired"), words[1]);
}

static enum err ask_for_page(struct listing *listing);

static void end_listing(struct listing *listing, enum err err)
{
    struct buffer next = BUFFER_INIT;
    if (err == ERR_NONE)
        write_hex(&next, buffer_str(&listing->cursor));
    listing->done(listing->data, err, buffer_str(&next));
    buffer_fini(&next);
    listing_free(listing);
}

static void on_page(void *data, enum err err, const struct redisReply *reply)
{
    struct listing *listing = data;
    if (err != ERR_NONE) {
        end_listing(listing, err);
        return;
    }
    for (size_t i = 1; reply_element(reply, i + TASK_ROW_COUNT) != NULL; i += 1 + TASK_ROW_COUNT) {
        struct task task = {.id = reply_text(reply_element(reply, i))};
        for (size_t field = 0; field < TASK_ROW_COUNT; field++)
            task.fields[field] = reply_text(reply_element(reply, i + 1 + field));
        listing->row(listing->data, &task);
        listing->left -= listing->left > 0;
    }
    listing->cursor.len = 0;
    buffer_append(&listing->cursor, reply_text(reply_element(reply, 0)));
    if (listing->cursor.len > 0 && listing->left > 0 && ++listing->rounds < ROUNDS) {
        err = ask_for_page(listing);
        if (err == ERR_NONE)
            return;
    }
    end_listing(listing, err);
}

static enum err ask_for_page(struct listing *listing)
{
    char max[24];
    snprintf(max, sizeof(max), "%zu", listing->left);
    struct str args[TASK_LIST_ARGS] = {
        [TASK_LIST_queue] = buffer_str(&listing->queue),
        [TASK_LIST_state] = buffer_str(&listing->state),
        [TASK_LIST_type] = buffer_str(&listing->type),
        [TASK_LIST_worker_id] = buffer_str(&listing->worker_id),
        [TASK_LIST_error] = buffer_str(&listing->error),
        [TASK_LIST_cursor] = buffer_str(&listing->cursor),
        [TASK_LIST_max] = str_from(max),
    };
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_task_list, args, 0);
    return link_run(listing->store->link, SCRIPT_task_list, &command, on_page, listing);
}

enum err store_list_tasks(struct store *store, const struct task_filter *filter, struct str cursor, size_t max,
                          store_task_row_callback *row, store_tasks_done_callback *done, void *data)
{
    struct listing *listing = store_alloc(sizeof(*listing));
    *listing = (struct listing){.store = store, .left = max, .row = row, .done = done, .data = data};
    buffer_append(&listing->queue, filter->queue);
    buffer_append(&listing->state, filter->state);
    buffer_append(&listing->type, filter->type);
    buffer_append(&listing->worker_id, filter->worker_id);
    buffer_append(&listing->error, filter->error);
    enum err err =
        read_hex(&listing->cursor, cursor) && is_cursor(buffer_str(&listing->cursor)) ? ask_for_page(listing) : ERR_BAD_REQUEST;
    if (err != ERR_NONE)
        listing_free(listing);
    return err;
}
