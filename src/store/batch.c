#include "store/batch.h"

#include "store/internal.h"

#include <stdlib.h>

#define THINGS_MAX 50               /* of one call, so that Redis is held for well under a millisecond */
#define THINGS_FULL 16              /* enough to save the call's cost, few enough that Redis and this thread work side by side */
#define BYTES_MAX ((size_t)1 << 20) /* of one call */

struct things {
    struct buffer strings; /* as they go over the wire */
    size_t string_count;
    size_t count;
    struct {
        batch_callback *callback;
        void *data;
    } callers[THINGS_MAX];
};

struct batches {
    struct things *open[SCRIPT_COUNT]; /* NULL: none */
    bool any;
};

static void end(struct things *things, enum err err, const struct redisReply *reply)
{
    for (size_t i = 0; i < things->count; i++)
        things->callers[i].callback(things->callers[i].data, err, reply, i);
    buffer_fini(&things->strings);
    free(things);
}

static void on_reply(void *data, enum err err, const struct redisReply *reply)
{
    end(data, err, err == ERR_NONE ? reply : NULL);
}

static void send(struct store *store, enum script script)
{
    struct things *things = store->batches->open[script];
    store->batches->open[script] = NULL;
    struct buffer command = BUFFER_INIT;
    script_begin(&command, script, NULL, things->string_count);
    buffer_append(&command, buffer_str(&things->strings));
    enum err err = link_run(store->link, script, &command, on_reply, things);
    if (err != ERR_NONE)
        end(things, err, NULL);
}

struct buffer *batch_begin(struct store *store, enum script script)
{
    if (!store_is_up(store))
        return NULL;
    if (store->batches == NULL)
        store->batches = store_alloc(sizeof(*store->batches));
    struct things **open = &store->batches->open[script];
    if (*open == NULL)
        *open = store_alloc(sizeof(**open));
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
    if (things->count >= (more ? THINGS_MAX : THINGS_FULL) || things->strings.len >= BYTES_MAX) {
        send(store, script);
        link_flush(store->link); /* Redis begins with these while the rest of the turn's requests are read */
    }
}

void batch_flush(struct store *store)
{
    if (store->batches == NULL || !store->batches->any)
        return;
    store->batches->any = false;
    for (int script = 0; script < SCRIPT_COUNT; script++)
        if (store->batches->open[script] != NULL)
            send(store, (enum script)script);
}
