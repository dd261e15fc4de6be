/*
 * Import checks the whole file before it writes anything. Then it sends the workers to lua/import.lua, several in each call. The
 * script skips workers that the fleet knows already, so an import that was interrupted can be run again.
 */
#include "base/json_writer.h"
#include "cli/connection.h"
#include "cli/mapped_file.h"
#include "cli/transfer.h"
#include "model/registry_file.h"
#include "redis/command.h"
#include "redis/script.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>

#define TOGETHER 16    /* workers in one call, which takes Redis about 0.5 ms */
#define ON_THEIR_WAY 8 /* calls under way at once: Redis is never idle, and coordinators' requests run between them */

enum outcome { LIVE, OFFLINE, ARCHIVED, KNOWN, OUTCOME_COUNT };

static const char outcomes[OUTCOME_COUNT + 1] = "loak"; /* the script's character for each */

struct import {
    struct connection connection;
    struct registry_file file;
    char timeout[16], removal[16], revive[16]; /* ms; see lua/register.lua */
    size_t counts[OUTCOME_COUNT];
    size_t done; /* the sum of the counts */
};

static void add_field(struct buffer *strings, size_t *count, enum worker_field field, struct str value)
{
    *count += command_add_pair(strings, worker_field_names[field], value);
}

/* Appends a worker to *workers as arguments of the script, and adds the number of these arguments to *strings. */
static void add_record(struct buffer *workers, size_t *strings, const struct record *record)
{
    char tier[4], tasks[32], registered_at[32], last_heartbeat[32], load[32], port[12];
    snprintf(tier, sizeof(tier), "%d", (int)record->tier);
    snprintf(tasks, sizeof(tasks), "%.0f", record->tasks_completed);
    snprintf(registered_at, sizeof(registered_at), "%lld", (long long)record->registered_at);
    snprintf(last_heartbeat, sizeof(last_heartbeat), "%lld", (long long)record->last_heartbeat);
    snprintf(load, sizeof(load), "%.6f", record->current_load);
    snprintf(port, sizeof(port), "%d", record->where.port);

    struct buffer fields = BUFFER_INIT;
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
    add_field(&fields, &count, WORKER_ip_address, record->where.ip_address);
    add_field(&fields, &count, WORKER_port, record->where.port > 0 ? str_from(port) : STR(""));
    add_field(&fields, &count, WORKER_tunnel_url, record->where.tunnel_url);
    add_field(&fields, &count, WORKER_vpn_ip, record->where.vpn_ip);
    add_field(&fields, &count, WORKER_instance_id, record->instance_id);
    add_field(&fields, &count, WORKER_boot_id, record->boot_id);
    add_field(&fields, &count, WORKER_region, record->region);
    add_field(&fields, &count, WORKER_location, record->location);
    add_field(&fields, &count, WORKER_labels, record->labels);
    add_field(&fields, &count, WORKER_tls_fingerprint, str_from(record->tls_fingerprint));
    char dht_port[12] = "";
    if (record->dht_port > 0)
        snprintf(dht_port, sizeof(dht_port), "%.0f", record->dht_port);
    add_field(&fields, &count, WORKER_dht_port, str_from(dht_port));
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
    command_add(workers, record->id);
    command_add(workers, str_from(last_heartbeat));
    command_add(workers, record->status);
    command_add(workers, str_from(load));
    command_add_number(workers, (long long)count);
    buffer_append(workers, buffer_str(&fields));
    buffer_fini(&fields);
    *strings += 5 + count;
}

/* Sends the next workers of the file in one call. Returns how many, 0 at the end of the file. */
static size_t send_some(struct import *import)
{
    struct buffer workers = BUFFER_INIT, command = BUFFER_INIT;
    struct record record;
    size_t count = 0, strings = 0;
    for (; count < TOGETHER && registry_file_next(&import->file, &record); count++) {
        add_record(&workers, &strings, &record);
        record_fini(&record);
    }
    if (count > 0) {
        struct str args[IMPORT_ARGS] = {
            [IMPORT_timeout] = str_from(import->timeout),
            [IMPORT_removal] = str_from(import->removal),
            [IMPORT_revive] = str_from(import->revive),
        };
        script_begin(&command, SCRIPT_import, args, strings);
        buffer_append(&command, buffer_str(&workers));
        connection_send(&import->connection, &command);
        connection_flush(&import->connection);
    }
    buffer_fini(&workers);
    return count;
}

/* Receives the outcomes of a call with `count` workers. */
static enum err receive_some(struct import *import, size_t count)
{
    redisReply *reply = connection_receive(&import->connection);
    if (reply == NULL)
        return ERR_UNAVAILABLE;
    bool is_good = reply->type == REDIS_REPLY_STRING && reply->len == count;
    for (size_t i = 0; is_good && i < count; i++) {
        const char *outcome = memchr(outcomes, reply->str[i], OUTCOME_COUNT);
        is_good = outcome != NULL;
        if (is_good)
            import->counts[outcome - outcomes]++;
    }
    freeReplyObject(reply);
    if (!is_good) {
        snprintf(import->connection.why, TRANSFER_WHY_MAX, "what answers at %.120s is no Redis", import->connection.place);
        return ERR_UNAVAILABLE;
    }
    import->done += count;
    return ERR_NONE;
}

/* Takes over all workers of the file. */
static enum err take_over(struct import *import)
{
    struct buffer load = BUFFER_INIT;
    script_load_command(&load, SCRIPT_import);
    redisReply *reply = connection_ask(&import->connection, &load);
    if (reply == NULL)
        return ERR_UNAVAILABLE;
    freeReplyObject(reply);

    struct progress progress = {.doing = "taking over workers", .total = import->file.count};
    size_t counts[ON_THEIR_WAY], sent = 0, received = 0; /* calls; `counts`: the workers of each call under way */
    enum err err = ERR_NONE;
    for (bool ends = false; err == ERR_NONE && (!ends || received < sent);) {
        while (!ends && sent - received < ON_THEIR_WAY) {
            counts[sent % ON_THEIR_WAY] = send_some(import);
            ends = counts[sent % ON_THEIR_WAY] == 0;
            sent += !ends;
        }
        if (received < sent)
            err = receive_some(import, counts[received++ % ON_THEIR_WAY]);
        progress_show(&progress, import->done);
    }
    progress_end(&progress);
    return err;
}

static size_t taken_over(const struct import *import)
{
    return import->counts[LIVE] + import->counts[OFFLINE] + import->counts[ARCHIVED];
}

static void print_outcome_as_json(const struct import *import)
{
    const size_t *counts = import->counts;
    struct buffer out = BUFFER_INIT;
    json_begin_object(&out, NULL);
    json_add_text(&out, "redis", str_from(import->connection.place));
    json_add_integer(&out, "workers", (int64_t)import->done);
    json_add_integer(&out, "taken_over", (int64_t)taken_over(import));
    json_add_integer(&out, "live", (int64_t)counts[LIVE]);
    json_add_integer(&out, "offline", (int64_t)counts[OFFLINE]);
    json_add_integer(&out, "archived", (int64_t)counts[ARCHIVED]);
    json_add_integer(&out, "known", (int64_t)counts[KNOWN]);
    json_add_integer(&out, "unknown_containers", (int64_t)import->file.unknown_containers);
    json_end_object(&out);
    printf("%.*s\n", STR_PRINTF(buffer_str(&out)));
    buffer_fini(&out);
}

static void print_outcome(const struct import *import, bool json)
{
    const size_t *counts = import->counts, unknown = import->file.unknown_containers;
    if (json) {
        print_outcome_as_json(import);
        return;
    }
    printf("%zu of %zu workers taken over: %zu live, %zu offline, %zu archived (they are back with their next heartbeat); "
           "%zu known before; in the Redis at %s\n",
           taken_over(import), import->done, counts[LIVE], counts[OFFLINE], counts[ARCHIVED], counts[KNOWN],
           import->connection.place);
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
    struct buffer faults = BUFFER_INIT;
    struct mapped_file text;
    if (transfer->file == NULL) {
        snprintf(why, TRANSFER_WHY_MAX, "import needs the file: rma-coordinator import FILE");
        return ERR_BAD_REQUEST;
    }
    if (mapped_file_open(transfer->file, &text) != ERR_NONE) {
        snprintf(why, TRANSFER_WHY_MAX, "%.160s can't be read: %s", transfer->file, strerror(errno));
        return ERR_INVALID;
    }
    enum err err = registry_file_check(transfer->file, text.text, &import.file, &faults);
    fprintf(stderr, "%.*s", STR_PRINTF(buffer_str(&faults)));
    if (err == ERR_NONE)
        err = import_file(&import, transfer, why);
    else
        snprintf(why, TRANSFER_WHY_MAX, "nothing was taken over from %.160s", transfer->file);
    buffer_fini(&faults);
    mapped_file_close(&text);
    return err;
}
