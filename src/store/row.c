#include "store/row.h"

#include <inttypes.h>
#include <stdio.h>

/* Asks for the fields from `first` up to `end`, of the key that holds them. */
static void ask_fields(struct buffer *command, struct str key, size_t first, size_t end)
{
    command_begin(command, 2 + end - first);
    command_add(command, STR("HMGET"));
    command_add(command, key);
    for (size_t field = first; field < end; field++)
        command_add(command, worker_field_names[field]);
}

void row_ask_state(struct buffer *command, struct str id)
{
    char room[KEY_MAX];
    ask_fields(command, key_worker(room, id), 0, WORKER_STATE_COUNT);
}

void row_ask_registration(struct buffer *command, struct str id, size_t end)
{
    char room[KEY_MAX];
    ask_fields(command, key_registration(room, id), WORKER_STATE_COUNT, end);
}

static void keep_values(struct row_state *state, const struct str values[WORKER_STATE_COUNT])
{
    size_t size = 0;
    for (size_t field = 0; field < WORKER_STATE_COUNT; field++)
        size += values[field].len;
    state->text.len = 0;
    buffer_reserve(&state->text, size + 1);
    for (size_t field = 0; field < WORKER_STATE_COUNT; field++) {
        state->fields[field] = values[field];
        if (values[field].ptr != NULL)
            state->fields[field].ptr = state->text.ptr + state->text.len;
        buffer_append(&state->text, values[field]);
    }
}

void row_keep(struct row_state *state, const struct redisReply *reply)
{
    struct str values[WORKER_STATE_COUNT];
    for (size_t field = 0; field < WORKER_STATE_COUNT; field++)
        values[field] = reply_text(reply_element(reply, field));
    keep_values(state, values);
}

void row_recall(struct row_state *state, struct str status, int64_t load, int64_t heard)
{
    char load_room[32], heard_room[24];
    snprintf(load_room, sizeof(load_room), "%.6g", (double)load / 1000000);
    snprintf(heard_room, sizeof(heard_room), "%" PRId64, heard);
    struct str values[WORKER_STATE_COUNT] = {{NULL, 0}};
    values[WORKER_status] = status;
    values[WORKER_current_load] = str_from(load_room);
    values[WORKER_last_heartbeat] = str_from(heard_room);
    keep_values(state, values);
}
