#include "redis/replica.h"

#include "base/clock.h"
#include "redis/command.h"
#include "redis/link.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

#define ASK_INTERVAL_MS 200
#define REFUSED_INTERVAL_MS 60000 /* until INFO is sent again if Redis does not permit it, or answers with an unknown error */
#define SAMPLES 512               /* of the primary's offset: those of more than 100 s */
#define HISTORY_MAX 40

/* The primary's offset in the replication stream at a moment. */
struct sample {
    int64_t offset;
    int64_t moment; /* clock_ms, before it was asked */
};

/* One of the two servers. */
struct side {
    struct link *link;
    bool asking;
    int64_t asked_at;
    int64_t ask_at; /* when it may be asked again */
};

struct replica {
    struct side primary, follower;
    char history[HISTORY_MAX + 1]; /* the replication id that the samples belong to */
    struct sample samples[SAMPLES];
    size_t first, count; /* `first` is the oldest sample; moments and offsets ascend */
    int64_t complete_until;
};

/* Reads a server's offset in the replication stream from its INFO replication. Returns false if it does not tell it. */
static bool read_place(const struct redisReply *reply, char history[HISTORY_MAX + 1], int64_t *offset)
{
    if (reply == NULL || reply->type != REDIS_REPLY_STRING)
        return false;
    /* a replica has applied slave_repl_offset bytes of the stream; a primary has no such line */
    const char *id = strstr(reply->str, "\nmaster_replid:"), *at = strstr(reply->str, "\nslave_repl_offset:");
    if (at == NULL)
        at = strstr(reply->str, "\nmaster_repl_offset:");
    if (id == NULL || at == NULL)
        return false;
    id += strlen("\nmaster_replid:");
    size_t len = strcspn(id, "\r\n");
    if (len > HISTORY_MAX)
        return false;
    memcpy(history, id, len);
    history[len] = '\0';
    *offset = strtoll(strchr(at, ':') + 1, NULL, 10);
    return true;
}

static void note_answer(struct side *side, enum err err)
{
    side->asking = false;
    bool is_refused = err == ERR_INTERNAL || err == ERR_NOT_PERMITTED;
    side->ask_at = side->asked_at + (is_refused ? REFUSED_INTERVAL_MS : ASK_INTERVAL_MS);
}

static void on_primary(void *data, enum err err, const struct redisReply *reply)
{
    struct replica *replica = data;
    char history[HISTORY_MAX + 1];
    int64_t offset;
    note_answer(&replica->primary, err);
    if (err != ERR_NONE || !read_place(reply, history, &offset))
        return;
    const struct sample *newest = &replica->samples[(replica->first + replica->count - 1) % SAMPLES];
    if (strcmp(history, replica->history) != 0 || (replica->count > 0 && newest->offset > offset)) {
        /* another primary, or the same one after losing its data: the measurements are no longer valid */
        memcpy(replica->history, history, sizeof(history));
        replica->count = 0;
        replica->complete_until = 0;
    }
    if (replica->count == SAMPLES) {
        replica->first = (replica->first + 1) % SAMPLES;
        replica->count--;
    }
    replica->samples[(replica->first + replica->count++) % SAMPLES] = (struct sample){offset, replica->primary.asked_at};
}

static void on_follower(void *data, enum err err, const struct redisReply *reply)
{
    struct replica *replica = data;
    char history[HISTORY_MAX + 1];
    int64_t offset;
    note_answer(&replica->follower, err);
    if (err != ERR_NONE || !read_place(reply, history, &offset) || strcmp(history, replica->history) != 0) {
        replica->complete_until = 0;
        return;
    }
    /* drops the samples that the replica has reached; it has all writes up to the moment of the last of them */
    while (replica->count > 0 && replica->samples[replica->first].offset <= offset) {
        replica->complete_until = replica->samples[replica->first].moment;
        replica->first = (replica->first + 1) % SAMPLES;
        replica->count--;
    }
}

static void ask_place(struct replica *replica, struct side *side, link_callback *callback, int64_t now)
{
    if (side->asking || now < side->ask_at || !link_is_up(side->link))
        return;
    struct buffer command = BUFFER_INIT;
    command_begin(&command, 2);
    command_add(&command, STR("INFO"));
    command_add(&command, STR("replication"));
    side->asking = true;
    side->asked_at = now;
    if (link_send(side->link, &command, callback, replica) != ERR_NONE)
        side->asking = false;
}

struct replica *replica_new(struct link *primary, struct link *link)
{
    struct replica *replica = calloc(1, sizeof(*replica));
    if (replica == NULL)
        abort();
    replica->primary.link = primary;
    replica->follower.link = link;
    return replica;
}

int64_t replica_complete_until(const struct replica *replica)
{
    return link_is_up(replica->follower.link) ? replica->complete_until : 0;
}

bool replica_is_alone(const struct replica *replica)
{
    return !link_is_up(replica->primary.link);
}

int32_t replica_tick(struct replica *replica)
{
    int64_t now = clock_ms();
    ask_place(replica, &replica->primary, on_primary, now);
    ask_place(replica, &replica->follower, on_follower, now);
    return ASK_INTERVAL_MS;
}
