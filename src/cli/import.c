/*
 * The file is read and checked whole before anything is written. Each worker is then one call of lua/import.lua, which leaves alone those
 * that are known: an import may be broken off anywhere, and repeated.
 */
#include "cli/connection.h"
#include "cli/transfer.h"
#include "model/registry_file.h"
#include "redis/command.h"
#include "redis/script.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BATCH 64 /* calls on their way at once: serving coordinators' requests find their place between them */

enum outcome { LIVE, OFFLINE, ARCHIVED, KNOWN, OUTCOME_COUNT };

static const char *const outcomes[OUTCOME_COUNT] = {"live", "offline", "archived", "known"}; /* the script's words */

struct import {
    struct connection connection;
    struct registry_file file;
    char timeout[16], removal[16], revive[16]; /* ms, as register takes them */
    size_t counts[OUTCOME_COUNT];
    size_t done; /* their sum */
};

static enum err read_file(const char *path, struct buffer *text, char why[TRANSFER_WHY_MAX])
{
    struct stat status;
    FILE *stream = fopen(path, "re");
    bool is_open = stream != NULL && fstat(fileno(stream), &status) == 0;
    size_t room = is_open && status.st_size > 0 && (size_t)status.st_size <= REGISTRY_FILE_MAX ? (size_t)status.st_size + 1 : 65536;
    while (is_open && !feof(stream) && !ferror(stream) && text->len <= REGISTRY_FILE_MAX) {
        text->len += fread(buffer_reserve(text, room), 1, room, stream);
        room = 65536;
    }
    enum err err = ERR_NONE;
    if (!is_open || ferror(stream)) {
        snprintf(why, TRANSFER_WHY_MAX, "%.160s can't be read: %s", path, strerror(errno));
        err = ERR_INVALID;
    } else if (text->len > REGISTRY_FILE_MAX) {
        snprintf(why, TRANSFER_WHY_MAX, "%.160s is larger than 256 MiB; nothing was taken over", path);
        err = ERR_INVALID;
    }
    if (stream != NULL)
        fclose(stream);
    return err;
}

static void add_field(struct buffer *strings, size_t *count, enum worker_field field, struct str value)
{
    if (value.len == 0)
        return;
    command_add(strings, worker_field_names[field]);
    command_add(strings, value);
    *count += 2;
}

static void send_record(struct import *import, const struct record *record)
{
    char tier[4], tasks[32], registered_at[32], last_heartbeat[32], load[32];
    snprintf(tier, sizeof(tier), "%d", (int)record->tier);
    snprintf(tasks, sizeof(tasks), "%.0f", record->tasks_completed);
    snprintf(registered_at, sizeof(registered_at), "%lld", (long long)record->registered_at);
    snprintf(last_heartbeat, sizeof(last_heartbeat), "%lld", (long long)record->last_heartbeat);
    snprintf(load, sizeof(load), "%.6f", record->current_load);

    struct buffer fields = BUFFER_INIT, command = BUFFER_INIT;
    size_t count = 0;
    add_field(&fields, &count, WORKER_tier, str_from(tier));
    add_field(&fields, &count, WORKER_worker_type, str_from(tier_worker_type(record->tier)));
    add_field(&fields, &count, WORKER_registered_at, str_from(registered_at));
    add_field(&fields, &count, WORKER_tasks_completed, str_from(tasks));
    add_field(&fields, &count, WORKER_assigned_services, buffer_str(&record->assigned_services));
    add_field(&fields, &count, WORKER_provides, buffer_str(&record->provides));
    add_field(&fields, &count, WORKER_capabilities, record->capabilities);
    add_field(&fields, &count, WORKER_hardware, buffer_str(&record->hardware));
    add_field(&fields, &count, WORKER_services, record->services);
    add_field(&fields, &count, WORKER_containers, record->containers);
    add_field(&fields, &count, WORKER_ip_address, record->ip_address);
    add_field(&fields, &count, WORKER_tunnel_url, record->tunnel_url);
    add_field(&fields, &count, WORKER_vpn_ip, record->vpn_ip);
    add_field(&fields, &count, WORKER_instance_id, record->instance_id);
    add_field(&fields, &count, WORKER_boot_id, record->boot_id);
    add_field(&fields, &count, WORKER_region, record->region);
    add_field(&fields, &count, WORKER_drained, record->drained ? STR("1") : STR(""));
    if (record->drained) {
        char drained_at[32] = "";
        if (record->drained_at > 0)
            snprintf(drained_at, sizeof(drained_at), "%lld", (long long)record->drained_at);
        add_field(&fields, &count, WORKER_drained_at, str_from(drained_at));
        add_field(&fields, &count, WORKER_drain_reason, record->drain_reason);
        add_field(&fields, &count, WORKER_drained_from, record->drained_from);
    }
    if (record->fingerprint.len > 0) {
        command_add(&fields, STR("fingerprint"));
        command_add(&fields, record->fingerprint);
        count += 2;
    }
    struct str args[IMPORT_ARGS] = {
        [IMPORT_timeout] = str_from(import->timeout),
        [IMPORT_removal] = str_from(import->removal),
        [IMPORT_revive] = str_from(import->revive),
        [IMPORT_worker_id] = record->id,
        [IMPORT_last_heartbeat] = str_from(last_heartbeat),
        [IMPORT_status] = record->status,
        [IMPORT_load] = str_from(load),
    };
    script_begin(&command, SCRIPT_import, args, count);
    buffer_append(&command, buffer_str(&fields));
    buffer_fini(&fields);
    connection_send(&import->connection, &command);
}

static enum err receive_outcome(struct import *import)
{
    redisReply *reply = connection_receive(&import->connection);
    if (reply == NULL)
        return ERR_UNAVAILABLE;
    int outcome = 0;
    struct str answer = {reply->str, reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ? reply->len : 0};
    while (outcome < OUTCOME_COUNT && !str_eq(answer, str_from(outcomes[outcome])))
        outcome++;
    freeReplyObject(reply);
    if (outcome == OUTCOME_COUNT) {
        snprintf(import->connection.why, TRANSFER_WHY_MAX, "what answers at %.120s is no Redis", import->connection.place);
        return ERR_UNAVAILABLE;
    }
    import->counts[outcome]++;
    import->done++;
    return ERR_NONE;
}

/* Sends all records, as many at once as a batch takes. */
static enum err take_over(struct import *import)
{
    struct buffer load = BUFFER_INIT;
    script_load_command(&load, SCRIPT_import);
    redisReply *reply = connection_ask(&import->connection, &load);
    if (reply == NULL)
        return ERR_UNAVAILABLE;
    freeReplyObject(reply);

    struct progress progress = {.doing = "taking over workers", .total = import->file.count};
    struct record record;
    size_t sent = 0;
    enum err err = ERR_NONE;
    while (err == ERR_NONE && import->done < import->file.count) {
        for (; sent < import->done + BATCH && registry_file_next(&import->file, &record); sent++) {
            send_record(import, &record);
            record_fini(&record);
        }
        while (err == ERR_NONE && import->done < sent)
            err = receive_outcome(import);
        progress_show(&progress, import->done);
    }
    progress_end(&progress);
    return err;
}

static size_t taken_over(const struct import *import)
{
    return import->counts[LIVE] + import->counts[OFFLINE] + import->counts[ARCHIVED];
}

static void print_outcome(const struct import *import, bool json)
{
    const size_t *counts = import->counts, unknown = import->file.unknown_containers;
    if (json) {
        printf("{\"workers\": %zu, \"taken_over\": %zu, \"live\": %zu, \"offline\": %zu, \"archived\": %zu, \"known\": %zu, "
               "\"unknown_containers\": %zu}\n",
               import->done, taken_over(import), counts[LIVE], counts[OFFLINE], counts[ARCHIVED], counts[KNOWN], unknown);
        return;
    }
    printf("%zu of %zu workers taken over: %zu live, %zu offline, %zu archived (they are back with their next heartbeat); "
           "%zu known before\n",
           taken_over(import), import->done, counts[LIVE], counts[OFFLINE], counts[ARCHIVED], counts[KNOWN]);
    if (unknown > 0)
        printf("%zu assigned containers are not in the service catalogue: those assignments were left out\n", unknown);
}

/* Takes over the workers of a file that has been checked. */
static enum err import_file(struct import *import, const struct transfer *transfer, char why[TRANSFER_WHY_MAX])
{
    char cause[TRANSFER_WHY_MAX];
    const int *numbers = transfer->config->number;
    int timeout = numbers[CONFIG_HEARTBEAT_TIMEOUT_SECONDS] * 1000;
    snprintf(import->timeout, sizeof(import->timeout), "%d", timeout);
    snprintf(import->removal, sizeof(import->removal), "%d", numbers[CONFIG_WORKER_TIMEOUT_SECONDS] * 1000 - timeout);
    snprintf(import->revive, sizeof(import->revive), "%d", numbers[CONFIG_WORKER_REVIVE_SECONDS] * 1000);
    enum err err = connection_open(&import->connection, transfer, cause);
    if (err != ERR_NONE) {
        snprintf(why, TRANSFER_WHY_MAX, "%s", cause);
    } else {
        err = take_over(import);
        if (err == ERR_NONE)
            print_outcome(import, transfer->json);
        else
            snprintf(why, TRANSFER_WHY_MAX, "%.150s; %zu of %zu workers were taken over, running it again completes it", cause,
                     taken_over(import), import->file.count);
    }
    connection_close(&import->connection);
    return err;
}

enum err transfer_import(const struct transfer *transfer, char why[TRANSFER_WHY_MAX])
{
    struct import import = {.done = 0};
    struct buffer text = BUFFER_INIT, faults = BUFFER_INIT;
    if (transfer->file == NULL) {
        snprintf(why, TRANSFER_WHY_MAX, "import needs the file: rma-coordinator import FILE");
        return ERR_BAD_REQUEST;
    }
    enum err err = read_file(transfer->file, &text, why);
    if (err == ERR_NONE) {
        err = registry_file_check(transfer->file, buffer_str(&text), &import.file, &faults);
        fprintf(stderr, "%.*s", STR_PRINTF(buffer_str(&faults)));
        if (err == ERR_NONE)
            err = import_file(&import, transfer, why);
        else
            snprintf(why, TRANSFER_WHY_MAX, "nothing was taken over from %.160s", transfer->file);
    }
    buffer_fini(&faults);
    buffer_fini(&text);
    return err;
}
