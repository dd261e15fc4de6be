/*
 * Chooses workers for services whose requests are spread at random. Each thread keeps lists of the workers that may be chosen,
 * and reads a list again once a second while it has requests for it.
 */
#include "base/clock.h"
#include "store/batch.h"
#include "store/routing.h"

#include <stdlib.h>

#define LISTS_MAX 64
#define ENTRIES_MAX 128 /* workers in a list; LISTED in lua/route.lua */
#define REFRESH_MS 1000 /* a list that is older, or empty, is read again */
#define STALE_MS 5000   /* a list that is older is not used, but up to ROUTING_CUT_OFF_MS if Redis is out of reach */

#define MARK_FAILED 'f' /* a request to it has failed since the list was read: others are chosen first */
#define MARK_DONE 'x'   /* a request of this thread tries it: it gets no other one */

struct entry {
    struct buffer text;     /* "id service loaded stamp mark" */
    struct str id, service; /* parts of `text` */
    char mark;
};

struct list {
    struct buffer key; /* "services model", and " silent" if the wish says so */
    struct entry entries[ENTRIES_MAX];
    size_t count;
    struct buffer refusal;    /* why it is empty */
    int64_t made_at, used_at; /* clock_ms; made_at 0: never */
    bool asked;
    struct choosing *waiting; /* choices that wait until the list is read */
};

struct lists {
    struct list *items[LISTS_MAX];
    size_t count;
};

static void list_clear(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        buffer_fini(&list->entries[i].text);
    list->count = 0;
    list->refusal.len = 0;
}

static void list_free(struct list *list)
{
    list_clear(list);
    buffer_fini(&list->refusal);
    buffer_fini(&list->key);
    free(list);
}

/*
 * Returns the place for a new list. If all are taken, it is the place of the list that was not used for the longest time, except
 * lists that are being read; NULL if all are being read.
 */
static struct list **place_for_one(struct lists *lists)
{
    struct list **found = NULL;
    if (lists->count < LISTS_MAX)
        return &lists->items[lists->count++];
    for (size_t i = 0; i < LISTS_MAX; i++)
        if (!lists->items[i]->asked && (found == NULL || lists->items[i]->used_at < (*found)->used_at))
            found = &lists->items[i];
    return found;
}

/* Returns the list for a choice, which is new if there is none yet; NULL if there are too many lists. */
static struct list *list_for(struct choosing *choosing)
{
    struct requests *requests = requests_of(choosing->store);
    struct buffer key = BUFFER_INIT;
    buffer_append(&key, buffer_str(&choosing->services));
    buffer_append(&key, STR(" "));
    buffer_append(&key, buffer_str(&choosing->model));
    buffer_append(&key, choosing->silent ? STR(" silent") : STR(""));
    if (requests->lists == NULL)
        requests->lists = store_alloc(sizeof(*requests->lists));
    struct lists *lists = requests->lists;
    for (size_t i = 0; i < lists->count; i++) {
        if (str_eq(buffer_str(&lists->items[i]->key), buffer_str(&key))) {
            buffer_fini(&key);
            return lists->items[i];
        }
    }
    struct list **place = place_for_one(lists);
    if (place == NULL) {
        buffer_fini(&key);
        return NULL;
    }
    if (*place != NULL)
        list_free(*place);
    *place = store_alloc(sizeof(**place));
    (*place)->key = key;
    return *place;
}

static bool is_excluded(const struct choosing *choosing, struct str id)
{
    struct str rest = buffer_str(&choosing->excluded);
    while (rest.len > 0) {
        struct str each = str_cut(&rest, ' ');
        if (each.ptr != NULL && str_eq(each, id))
            return true;
    }
    return false;
}

/* Picks a worker that a request must try; else a random one, those that have failed last. NULL: all are excluded or tried. */
static struct entry *pick_entry(struct list *list, const struct choosing *choosing)
{
    struct entry *picked = NULL;
    size_t start = list->count > 0 ? (size_t)(store_random() % list->count) : 0;
    for (size_t i = 0; i < list->count; i++) {
        struct entry *entry = &list->entries[(start + i) % list->count];
        if (entry->mark == MARK_DONE || is_excluded(choosing, entry->id))
            continue;
        if (entry->mark == 't')
            return entry;
        if (picked == NULL || picked->mark == MARK_FAILED)
            picked = entry;
    }
    return picked;
}

/* Asks Redis: a list has the best workers alone, and when none of them is left, others may serve the request. */
static void choose_beside(struct choosing *choosing)
{
    choosing->unleased = false;
    enum err err = choosing_ask(choosing);
    if (err != ERR_NONE)
        choosing_end(choosing, err, NULL, REQUEST_NO_WORKERS);
}

static void choose_from(struct list *list, struct choosing *choosing)
{
    struct entry *entry = pick_entry(list, choosing);
    if (entry == NULL && list->count > 0) {
        choose_beside(choosing);
        return;
    }
    if (entry == NULL) {
        choosing_refuse(choosing, buffer_str(&list->refusal));
        return;
    }
    choosing->lease = lease_new_unleased(choosing->store, entry->mark);
    if (entry->mark == 't')
        entry->mark = MARK_DONE;
    choosing_take(choosing, buffer_str(&entry->text));
}

static void take_entry(struct list *list, struct str text)
{
    struct entry *entry = &list->entries[list->count];
    entry->text = BUFFER_INIT;
    buffer_append(&entry->text, text);
    struct str rest = buffer_str(&entry->text);
    entry->id = str_cut(&rest, ' ');
    entry->service = str_cut(&rest, ' ');
    entry->mark = text.len > 0 ? text.ptr[text.len - 1] : '-';
    if (id_is_valid(entry->id) && id_is_valid(entry->service))
        list->count++;
    else /* somebody has written it with redis-cli */
        buffer_fini(&entry->text);
}

static void on_list(void *data, enum err err, const struct redisReply *reply, size_t index)
{
    struct list *list = data;
    const struct redisReply *entries = reply_element(reply, index);
    struct choosing *waiting = list->waiting, *next;
    list->waiting = NULL;
    if (err == ERR_NONE) {
        struct str refusal = reply_text(entries);
        list_clear(list);
        list->made_at = clock_ms();
        str_cut(&refusal, ' ');
        buffer_append(&list->refusal, refusal);
        for (size_t i = 0; list->count < ENTRIES_MAX && reply_element(entries, i) != NULL; i++)
            take_entry(list, reply_text(reply_element(entries, i)));
    }
    for (; waiting != NULL; waiting = next) {
        next = waiting->next;
        if (err == ERR_NONE)
            choose_from(list, waiting);
        else
            choosing_end(waiting, err, NULL, REQUEST_NO_WORKERS);
    }
    list->asked = false; /* from now on another list may take its place */
}

static enum err ask_for(struct list *list, struct choosing *choosing)
{
    struct buffer *out = batch_begin(choosing->store, SCRIPT_route);
    if (out == NULL)
        return store_check(choosing->store);
    list->asked = true;
    command_add(out, STR("list"));
    choosing_add(out, choosing);
    batch_add(choosing->store, SCRIPT_route, 4, true, on_list, list);
    return ERR_NONE;
}

enum err lists_choose(struct choosing *choosing)
{
    struct list *list = list_for(choosing);
    if (list == NULL)
        return ERR_OVERLOADED;
    int64_t now = clock_ms(), age = list->made_at > 0 ? now - list->made_at : INT64_MAX;
    bool is_empty = list->count == 0; /* then each choice reads it: a worker may have come since */
    enum err err = ERR_NONE;
    list->used_at = now;
    if ((age >= REFRESH_MS || is_empty) && !list->asked)
        err = ask_for(list, choosing);
    if (!is_empty && age < (err == ERR_NONE ? STALE_MS : ROUTING_CUT_OFF_MS)) {
        choose_from(list, choosing);
        return ERR_NONE;
    }
    if (err == ERR_NONE) {
        choosing->next = list->waiting;
        list->waiting = choosing;
    }
    return err;
}

void lists_drop(struct lists *lists, struct str worker_id, struct str service)
{
    for (size_t i = 0; lists != NULL && i < lists->count; i++)
        for (size_t k = 0; k < lists->items[i]->count; k++) {
            struct entry *entry = &lists->items[i]->entries[k];
            if (str_eq(entry->id, worker_id) && str_eq(entry->service, service) && entry->mark != MARK_DONE)
                entry->mark = MARK_FAILED;
        }
}
