#include "store/batch.h"

#include "store/internal.h"

#include <stdlib.h>

#define BYTES_MAX ((size_t)1 << 20) /* in one call */
#define CALLS_MAX 2                 /* one on which Redis works, and one that it finds when it is done with that */

struct things {
    struct store *store;
    enum script script;
    struct buffer strings; /* the arguments, as they are sent */
    size_t string_count;
    struct redisReply *reply; /* owned: a copy, kept until the replicas have the write; NULL: no copy is needed */
    size_t count;
    struct {
        batch_callback *callback;
        void *data;
    } callers[BATCH_MAX];
};

struct batches {
    struct things *open[SCRIPT_COUNT];    /* NULL: none */
    const struct str *args[SCRIPT_COUNT]; /* see batch_use */
    bool any;
};

bool batch_may_go(const struct store *store, enum script script)
{
    return store->calls_under_way[script] < CALLS_MAX;
}

bool batch_is_full(const struct store *store, enum script script, size_t count, bool more)
{
    return count >= (more || !batch_may_go(store, script) ? BATCH_MAX : BATCH_FULL);
}

static void tell_callers(struct things *things, enum err err, const struct redisReply *reply)
{
    for (size_t i = 0; i < things->count; i++)
        things->callers[i].callback(things->callers[i].data, err, err == ERR_NONE ? reply : NULL, i);
    things->count = 0;
}

static void things_free(struct things *things)
{
    buffer_fini(&things->strings);
    freeReplyObject(things->reply);
    free(things);
}

/* Copies an array, a text or a number. The caller frees the copy with freeReplyObject. */
static struct redisReply *copy_reply(const struct redisReply *reply)
{
    struct redisReply *made = store_alloc(sizeof(*made));
    made->type = reply->type;
    made->integer = reply->integer;
    if (reply->str != NULL) {
        made->len = reply->len;
        made->str = store_alloc(reply->len + 1);
        memcpy(made->str, reply->str, reply->len);
    }
    if (reply->elements > 0) {
        made->elements = reply->elements;
        made->element = store_alloc(reply->elements * sizeof(struct redisReply *));
        for (size_t i = 0; i < reply->elements; i++)
            made->element[i] = copy_reply(reply->element[i]);
    }
    return made;
}

/* If Redis demands replicas, the callers wait until the replicas have the write, so that a failover can't undo it. */
static void on_reply(void *data, enum err err, const struct redisReply *reply)
{
    struct things *things = data;
    things->store->calls_under_way[things->script]--;
    if (err == ERR_NONE && link_min_replicas(things->store->link) > 0)
        things->reply = copy_reply(reply);
    else
        tell_callers(things, err, reply);
}

static void on_kept(void *data, enum err err)
{
    struct things *things = data;
    tell_callers(things, err, things->reply);
    things_free(things);
}

static void on_quick_reply(void *data, enum err err, const struct redisReply *reply)
{
    struct things *things = data;
    things->store->calls_under_way[things->script]--;
    tell_callers(things, err, reply);
    things_free(things);
}

static void send_things(struct store *store, enum script script)
{
    struct things *things = store->batches->open[script];
    const struct str *args = store->batches->args[script];
    store->batches->open[script] = NULL;
    struct buffer command = BUFFER_INIT;
    script_begin(&command, script, args, things->string_count);
    buffer_append(&command, buffer_str(&things->strings));
    enum err err = args != NULL ? link_run(store->link, script, &command, on_quick_reply, things)
                                : store_run_replicated(store, script, &command, on_reply, on_kept, things);
    if (err == ERR_NONE) {
        store->calls_under_way[script]++;
    } else {
        tell_callers(things, err, NULL);
        things_free(things);
    }
}

static struct batches *batches_of(struct store *store)
{
    if (store->batches == NULL)
        store->batches = store_alloc(sizeof(*store->batches));
    return store->batches;
}

void batch_use(struct store *store, enum script script, const struct str *args)
{
    batches_of(store)->args[script] = args;
}

struct buffer *batch_begin(struct store *store, enum script script)
{
    if (!store_is_up(store))
        return NULL;
    batches_of(store);
    struct things **open = &store->batches->open[script];
    if (*open == NULL)
        *open = store_alloc(sizeof(**open));
    (*open)->store = store;
    (*open)->script = script;
    return &(*open)->strings;
}

void batch_add(struct store *store, enum script script, size_t strings, bool more, batch_callback *callback, void *data)
{
    struct things *things = store->batches->open[script];
    things->string_count += strings;
    things->callers[things->count].callback = callback;
    things->callers[things->count].data = data;
    things->count++;
    store->batches->any = true;
    if (batch_is_full(store, script, things->count, more) || things->strings.len >= BYTES_MAX) {
        send_things(store, script);
        link_flush(store->link); /* Redis works on these while this thread reads the other requests of the turn */
    }
}

void batch_flush(struct store *store)
{
    if (store->batches == NULL || !store->batches->any)
        return;
    store->batches->any = false;
    for (int script = 0; script < SCRIPT_COUNT; script++) {
        bool may_go = batch_may_go(store, (enum script)script);
        if (store->batches->open[script] != NULL && may_go)
            send_things(store, (enum script)script);
        store->batches->any |= store->batches->open[script] != NULL;
    }
}
