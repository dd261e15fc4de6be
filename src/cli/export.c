/*
 * SCAN may show a key twice, and a registry must not have a worker twice. So export first gathers and sorts all ids, then reads
 * and writes the workers page by page.
 */
#include "cli/connection.h"
#include "cli/transfer.h"
#include "model/id.h"
#include "model/record.h"
#include "redis/command.h"
#include "redis/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 128
#define FINGERPRINT WORKER_FIELD_COUNT /* its index in the replies: after the worker's fields */

struct ids {
    struct buffer text; /* the ids, each with a zero byte at its end */
    size_t *at;         /* where each id begins in the text */
    size_t count, room;
};

struct output {
    int fd;
    const char *file;    /* NULL: standard output */
    char path[PATH_MAX]; /* the temporary file, which gets the name of `file` once it is whole */
    struct buffer text;  /* what is not yet written */
};

struct export
{
    struct connection connection;
    struct ids ids;
    struct output output;
    struct str coordinator_url;
    size_t count; /* workers written */
};

static void ids_add(struct ids *ids, struct str id)
{
    if (ids->count == ids->room) {
        ids->room = ids->room > 0 ? 2 * ids->room : 1024;
        size_t *at = realloc(ids->at, ids->room * sizeof(*at));
        if (at == NULL)
            abort();
        ids->at = at;
    }
    ids->at[ids->count++] = ids->text.len;
    buffer_append(&ids->text, id);
    buffer_append(&ids->text, (struct str){"", 1});
}

static int compare_ids(const void *a, const void *b, void *text)
{
    return strcmp((const char *)text + *(const size_t *)a, (const char *)text + *(const size_t *)b);
}

static void ids_order(struct ids *ids)
{
    size_t count = 0;
    if (ids->count > 0)
        qsort_r(ids->at, ids->count, sizeof(*ids->at), compare_ids, ids->text.ptr);
    for (size_t i = 0; i < ids->count; i++)
        if (i == 0 || strcmp(ids->text.ptr + ids->at[i], ids->text.ptr + ids->at[count - 1]) != 0)
            ids->at[count++] = ids->at[i];
    ids->count = count;
}

static struct str text_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? (struct str){reply->str, reply->len} : (struct str){NULL, 0};
}

/* Gathers the ids of one page of SCAN. `cursor` becomes that of the next page, "0" after the last. */
static enum err scan_page(struct export *export, char cursor[CONNECTION_CURSOR_MAX])
{
    struct str prefix = key_name(KEY_registration);
    redisReply *reply = connection_scan(&export->connection, "SCAN", STR(""), prefix, cursor);
    if (reply == NULL)
        return ERR_UNAVAILABLE;
    const redisReply *keys = reply->element[1];
    for (size_t i = 0; i < keys->elements; i++) {
        struct str id = text_of(keys->element[i]);
        if (id.len <= prefix.len)
            continue;
        id.ptr += prefix.len;
        id.len -= prefix.len;
        if (id_is_valid(id))
            ids_add(&export->ids, id);
    }
    freeReplyObject(reply);
    return ERR_NONE;
}

static void send_reads(struct export *export, struct str id)
{
    struct buffer command = BUFFER_INIT;
    char room[KEY_MAX];
    command_begin(&command, 2 + WORKER_STATE_COUNT);
    command_add(&command, STR("HMGET"));
    command_add(&command, key_worker(room, id));
    for (int i = 0; i < WORKER_STATE_COUNT; i++)
        command_add(&command, worker_field_names[i]);
    connection_send(&export->connection, &command);

    command_begin(&command, 2 + WORKER_FIELD_COUNT - WORKER_STATE_COUNT + 1);
    command_add(&command, STR("HMGET"));
    command_add(&command, key_registration(room, id));
    for (int i = WORKER_STATE_COUNT; i < WORKER_FIELD_COUNT; i++)
        command_add(&command, worker_field_names[i]);
    command_add(&command, STR("fingerprint"));
    connection_send(&export->connection, &command);

    command_begin(&command, 2);
    command_add(&command, STR("GET"));
    command_add(&command, key_worker_online(room, id));
    connection_send(&export->connection, &command);
}

static void write_worker(struct export *export, struct str id, const redisReply *state, const redisReply *registration,
                         const redisReply *online)
{
    struct worker worker = {.id = id, .online = text_of(online)};
    struct str fingerprint = {NULL, 0};
    if (state->type != REDIS_REPLY_ARRAY || state->elements != WORKER_STATE_COUNT || registration->type != REDIS_REPLY_ARRAY ||
        registration->elements != WORKER_FIELD_COUNT - WORKER_STATE_COUNT + 1)
        return; /* the server is no Redis, or somebody has replaced the keys with ones of another type */
    for (size_t i = 0; i < state->elements; i++)
        worker.fields[i] = text_of(state->element[i]);
    for (size_t i = 0; i < registration->elements; i++) {
        struct str value = text_of(registration->element[i]);
        if (WORKER_STATE_COUNT + i < FINGERPRINT)
            worker.fields[WORKER_STATE_COUNT + i] = value;
        else
            fingerprint = value;
    }
    if (worker.fields[WORKER_tier].ptr == NULL)
        return; /* the registration has ended meanwhile */
    buffer_append(&export->output.text, export->count++ > 0 ? STR(",\n") : STR("\n"));
    record_write(&export->output.text, &worker, fingerprint, export->coordinator_url);
}

static enum err read_worker(struct export *export, struct str id)
{
    redisReply *replies[3] = {NULL, NULL, NULL};
    enum err err = ERR_NONE;
    for (int i = 0; i < 3 && err == ERR_NONE; i++) {
        replies[i] = connection_receive(&export->connection);
        err = replies[i] != NULL ? ERR_NONE : ERR_UNAVAILABLE;
    }
    if (err == ERR_NONE)
        write_worker(export, id, replies[0], replies[1], replies[2]);
    for (int i = 0; i < 3; i++)
        freeReplyObject(replies[i]);
    return err;
}

/* Writes the text to the file and empties it. */
static enum err output_flush(struct output *output, char why[TRANSFER_WHY_MAX])
{
    for (size_t done = 0; done < output->text.len;) {
        ssize_t written = write(output->fd, output->text.ptr + done, output->text.len - done);
        if (written == -1 && errno != EINTR) {
            snprintf(why, TRANSFER_WHY_MAX, "%.160s can't be written: %s", output->file != NULL ? output->file : "standard output",
                     strerror(errno));
            return ERR_INVALID;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    output->text.len = 0;
    return ERR_NONE;
}

static enum err output_open(struct output *output, const char *file, char why[TRANSFER_WHY_MAX])
{
    struct stat status;
    output->file = file;
    output->fd = STDOUT_FILENO;
    if (file == NULL)
        return ERR_NONE;
    output->fd = -1;
    bool there = lstat(file, &status) == 0;
    if (there && !S_ISREG(status.st_mode)) {
        snprintf(why, TRANSFER_WHY_MAX, "%.160s is there and is no regular file", file);
        return ERR_INVALID;
    }
    if ((size_t)snprintf(output->path, sizeof(output->path), "%s.part-%d", file, getpid()) >= sizeof(output->path))
        errno = ENAMETOOLONG;
    else
        output->fd = open(output->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, there ? status.st_mode & 0777 : 0666);
    if (output->fd != -1)
        return ERR_NONE;
    snprintf(why, TRANSFER_WHY_MAX, "%.160s can't be written: %s", file, strerror(errno));
    return ERR_INVALID;
}

/* Gives the file its name, after its content is on the disk. */
static enum err output_commit(struct output *output, char why[TRANSFER_WHY_MAX])
{
    if (output->file == NULL)
        return ERR_NONE;
    char directory[PATH_MAX];
    snprintf(directory, sizeof(directory), "%s", output->file);
    int closed = fsync(output->fd);
    closed |= close(output->fd);
    output->fd = -1;
    if (closed != 0 || rename(output->path, output->file) != 0) {
        snprintf(why, TRANSFER_WHY_MAX, "%.160s can't be written: %s", output->file, strerror(errno));
        return ERR_INVALID;
    }
    output->path[0] = '\0';
    int fd = open(dirname(directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd != -1) {
        fsync(fd); /* it may fail: not every file system syncs directories */
        close(fd);
    }
    return ERR_NONE;
}

static void output_close(struct output *output)
{
    if (output->file != NULL && output->fd != -1)
        close(output->fd);
    if (output->path[0] != '\0')
        unlink(output->path);
    buffer_fini(&output->text);
}

static enum err write_workers(struct export *export, char why[TRANSFER_WHY_MAX])
{
    char cursor[CONNECTION_CURSOR_MAX] = "0";
    enum err err = ERR_NONE;
    do
        err = scan_page(export, cursor);
    while (err == ERR_NONE && strcmp(cursor, "0") != 0);
    if (err != ERR_NONE)
        return err;
    struct ids *ids = &export->ids;
    ids_order(ids);

    struct progress progress = {.doing = "writing workers", .total = ids->count};
    buffer_append(&export->output.text, STR("{"));
    for (size_t page = 0; err == ERR_NONE && page < ids->count; page += PAGE) {
        size_t end = page + PAGE < ids->count ? page + PAGE : ids->count;
        for (size_t i = page; i < end; i++)
            send_reads(export, str_from(ids->text.ptr + ids->at[i]));
        for (size_t i = page; err == ERR_NONE && i < end; i++)
            err = read_worker(export, str_from(ids->text.ptr + ids->at[i]));
        if (err == ERR_NONE)
            err = output_flush(&export->output, why);
        progress_show(&progress, end);
    }
    progress_end(&progress);
    if (err != ERR_NONE)
        return err;
    buffer_append(&export->output.text, STR("\n}\n"));
    return output_flush(&export->output, why);
}

enum err transfer_export(const struct transfer *transfer, char why[TRANSFER_WHY_MAX])
{
    static struct export export;
    export = (struct export){.coordinator_url = transfer->config->text[CONFIG_PUBLIC_URL]};
    if (transfer->json) {
        snprintf(why, TRANSFER_WHY_MAX, "--json is for import: what export writes is JSON");
        return ERR_BAD_REQUEST;
    }
    enum err err = connection_find_data(transfer->config, why);
    if (err == ERR_NONE)
        err = output_open(&export.output, transfer->file, why);
    if (err == ERR_NONE)
        err = connection_open(&export.connection, transfer, why);
    if (err == ERR_NONE)
        err = write_workers(&export, why);
    if (err == ERR_NONE)
        err = output_commit(&export.output, why);
    if (err == ERR_NONE && transfer->file != NULL)
        printf("%zu workers written to %s\n", export.count, transfer->file);
    connection_close(&export.connection);
    output_close(&export.output);
    buffer_fini(&export.ids.text);
    free(export.ids.at);
    return err;
}
