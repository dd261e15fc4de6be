#include "upstream/lookup.h"

#include "base/clock.h"

#include <h2o.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BUCKETS 512 /* a power of two */
#define WAYS (LOOKUP_CACHE_MAX / BUCKETS)

/* A host name, its last result, and the look-ups that wait for a new one. */
struct name {
    struct name *next;         /* in its bucket */
    struct name *next_waiting; /* in the queue for a thread */
    bool under_way;            /* it waits for a thread, or a thread looks it up */
    int64_t until;             /* clock_ms: the result is good until then */
    int64_t stale_until;       /* clock_ms: it is still used until then, while the name is looked up anew; 0: no result */
    int64_t outage_until;      /* clock_ms: a good result may be used until then if nobody can be asked; 0: there is none */
    struct lookup *waiters;    /* while under_way */
    struct lookup_result result;
    char text[];
};

/* A look-up stands on its name's list of waiters, then on its loop's list of finished look-ups. */
struct lookup {
    struct lookup *next, **link; /* `link`: what points to this one */
    struct lookups *lookups;
    void (*done)(void *data, const struct lookup_result *result);
    void *data;
    struct lookup_result result;
};

struct lookups {
    int fd; /* an eventfd: something is in `finished` */
    h2o_socket_t *socket;
    struct lookup *finished;
};

/* What all loops share. The lock also guards the loops' lists of finished look-ups. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct name *buckets[BUCKETS];
    struct name *first, *last; /* those that wait for a thread */
    size_t waiting;
    int threads, idle_threads;
    int kept_ms;
    void (*resolve)(const char *name, struct lookup_result *result);
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER, .kept_ms = LOOKUP_KEPT_MS};

static void add_address(struct lookup_result *result, const struct sockaddr *name)
{
    struct network_address address;
    if (!network_address_read(name, &address))
        return;
    for (size_t i = 0; i < result->count; i++)
        if (memcmp(&result->addresses[i], &address, sizeof(address)) == 0)
            return;
    if (result->count == LOOKUP_ADDRESSES_MAX)
        result->why = "it has more addresses than may be";
    else
        result->addresses[result->count++] = address;
}

static void resolve(const char *name, struct lookup_result *result)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    /* reads resolv.conf anew, since it may have changed; gives up about as early as a request does (EXCHANGE_LOOKUP_MS) */
    if (res_init() == 0) {
        _res.retrans = 1;
        _res.retry = 2;
    }
    int err = getaddrinfo(name, NULL, &hints, &found);
    if (err != 0) {
        result->why = err == EAI_SYSTEM ? "the look-up failed" : gai_strerror(err);
        result->is_passing = err == EAI_AGAIN || err == EAI_SYSTEM || err == EAI_MEMORY;
        return;
    }
    for (const struct addrinfo *each = found; each != NULL; each = each->ai_next)
        add_address(result, each->ai_addr);
    freeaddrinfo(found);
    if (result->count == 0)
        result->why = "it has no address";
}

static void list_add(struct lookup **list, struct lookup *lookup)
{
    lookup->next = *list;
    lookup->link = list;
    if (lookup->next != NULL)
        lookup->next->link = &lookup->next;
    *list = lookup;
}

static void list_remove(struct lookup *lookup)
{
    *lookup->link = lookup->next;
    if (lookup->next != NULL)
        lookup->next->link = lookup->link;
}

/* Stores the result of a look-up. If nobody could be asked, the last good result stays for a while. */
static void take_result(struct name *name, const struct lookup_result *result)
{
    int64_t now = clock_ms();
    int failed_ms = shared.kept_ms < LOOKUP_FAILED_MS ? shared.kept_ms : LOOKUP_FAILED_MS;
    if (result->why == NULL) {
        name->result = *result;
        name->until = now + shared.kept_ms;
        name->stale_until = name->until + shared.kept_ms;
        name->outage_until = now + LOOKUP_OUTAGE_MS;
        return;
    }
    name->until = name->stale_until = now + failed_ms;
    if (result->is_passing && name->outage_until > now) {
        name->stale_until = name->outage_until;
        return;
    }
    name->result = *result;
    name->outage_until = 0;
}

/* Stores the result and gives it to all look-ups that wait for it. The caller holds the lock. */
static void publish(struct name *name, const struct lookup_result *result)
{
    take_result(name, result);
    name->under_way = false;
    for (struct lookup *lookup; (lookup = name->waiters) != NULL;) {
        uint64_t one = 1;
        list_remove(lookup);
        lookup->result = name->result;
        list_add(&lookup->lookups->finished, lookup);
        if (write(lookup->lookups->fd, &one, sizeof(one)) != sizeof(one))
            abort(); /* impossible: the counter has room for nearly 2^64 */
    }
}

static void *serve(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&shared.lock);
    for (;;) {
        while (shared.first == NULL) {
            shared.idle_threads++;
            pthread_cond_wait(&shared.more, &shared.lock);
            shared.idle_threads--;
        }
        struct name *name = shared.first;
        shared.first = name->next_waiting;
        shared.waiting--;
        void (*look_up)(const char *, struct lookup_result *) = shared.resolve != NULL ? shared.resolve : resolve;
        pthread_mutex_unlock(&shared.lock);
        struct lookup_result result = {.count = 0};
        look_up(name->text, &result);
        pthread_mutex_lock(&shared.lock);
        publish(name, &result);
    }
    return NULL;
}

/* Queues the name for a thread, and starts a thread if none is idle. The caller holds the lock. */
static void queue_name(struct name *name)
{
    name->under_way = true;
    name->next_waiting = NULL;
    if (shared.first == NULL)
        shared.first = name;
    else
        shared.last->next_waiting = name;
    shared.last = name;
    shared.waiting++;
    pthread_cond_signal(&shared.more);
    if (shared.waiting <= (size_t)shared.idle_threads || shared.threads == LOOKUP_THREADS)
        return;
    pthread_t id;
    if (pthread_create(&id, NULL, serve, NULL) == 0) {
        pthread_detach(id);
        shared.threads++;
    } else if (shared.threads == 0) { /* so this is the only name */
        shared.first = NULL;
        shared.waiting = 0;
        publish(name, &(struct lookup_result){.why = "the system allows no further thread"});
    }
}

static struct name **bucket_of(const char *text)
{
    return &shared.buckets[str_hash(str_from(text)) & (BUCKETS - 1)];
}

static struct name *find_name(const char *text)
{
    struct name *name = *bucket_of(text);
    while (name != NULL && strcmp(name->text, text) != 0)
        name = name->next;
    return name;
}

static void forget(struct name **at)
{
    struct name *name = *at;
    *at = name->next;
    free(name);
}

/* Forgets the oldest names of a bucket that is full. Strangers may make up names for it. Those that are being looked up stay. */
static void make_room(struct name **bucket)
{
    size_t count = 0;
    for (struct name **at = bucket; *at != NULL;) {
        if (++count >= WAYS && !(*at)->under_way)
            forget(at);
        else
            at = &(*at)->next;
    }
}

/* Adds a name without a result. The caller holds the lock. */
static struct name *make_name(const char *text)
{
    size_t size = strlen(text) + 1;
    struct name *name = h2o_mem_alloc(sizeof(*name) + size);
    memset(name, 0, sizeof(*name));
    memcpy(name->text, text, size);
    struct name **bucket = bucket_of(text);
    make_room(bucket);
    name->next = *bucket;
    *bucket = name;
    return name;
}

static struct lookup *take_finished(struct lookups *lookups)
{
    pthread_mutex_lock(&shared.lock);
    struct lookup *lookup = lookups->finished;
    if (lookup != NULL) {
        lookups->finished = lookup->next;
        if (lookup->next != NULL)
            lookup->next->link = &lookups->finished;
    }
    pthread_mutex_unlock(&shared.lock);
    return lookup;
}

static void on_finished(h2o_socket_t *socket, const char *err)
{
    struct lookups *lookups = socket->data;
    uint64_t count;
    (void)err;
    if (read(lookups->fd, &count, sizeof(count)) != sizeof(count))
        return;
    for (struct lookup *lookup; (lookup = take_finished(lookups)) != NULL;) {
        lookup->done(lookup->data, &lookup->result);
        free(lookup);
    }
}

struct lookups *lookups_new(h2o_loop_t *loop)
{
    struct lookups *lookups = h2o_mem_alloc(sizeof(*lookups));
    lookups->finished = NULL;
    lookups->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lookups->fd == -1)
        abort();
    lookups->socket = h2o_evloop_socket_create(loop, lookups->fd, H2O_SOCKET_FLAG_DONT_READ);
    lookups->socket->data = lookups;
    h2o_socket_read_start(lookups->socket, on_finished);
    return lookups;
}

void lookups_free(struct lookups *lookups)
{
    h2o_socket_close(lookups->socket);
    free(lookups);
}

bool lookup_find(const char *text, struct lookup_result *result)
{
    int64_t now = clock_ms();
    pthread_mutex_lock(&shared.lock);
    struct name *name = find_name(text);
    bool known = name != NULL && name->stale_until > now;
    if (known)
        *result = name->result;
    if (known && name->until <= now && !name->under_way && shared.waiting < LOOKUP_WAITING_MAX)
        queue_name(name);
    pthread_mutex_unlock(&shared.lock);
    return known;
}

bool lookup_recall(const char *text, struct lookup_result *result)
{
    pthread_mutex_lock(&shared.lock);
    const struct name *name = find_name(text);
    bool known = name != NULL && name->outage_until > clock_ms();
    if (known)
        *result = name->result;
    pthread_mutex_unlock(&shared.lock);
    return known;
}

struct lookup *lookup_begin(struct lookups *lookups, const char *text, void (*done)(void *data, const struct lookup_result *result),
                            void *data)
{
    struct lookup *lookup = NULL;
    pthread_mutex_lock(&shared.lock);
    struct name *name = find_name(text);
    bool begins = name == NULL || !name->under_way;
    if (begins && shared.waiting >= LOOKUP_WAITING_MAX)
        name = NULL;
    else if (name == NULL)
        name = make_name(text);
    if (name != NULL) {
        lookup = h2o_mem_alloc(sizeof(*lookup));
        *lookup = (struct lookup){.lookups = lookups, .done = done, .data = data};
        list_add(&name->waiters, lookup);
    }
    if (name != NULL && begins)
        queue_name(name);
    pthread_mutex_unlock(&shared.lock);
    return lookup;
}

void lookup_cancel(struct lookup *lookup)
{
    pthread_mutex_lock(&shared.lock);
    list_remove(lookup);
    pthread_mutex_unlock(&shared.lock);
    free(lookup);
}

void lookup_use_resolver(void (*resolver)(const char *name, struct lookup_result *result), int kept_ms)
{
    pthread_mutex_lock(&shared.lock);
    shared.resolve = resolver;
    shared.kept_ms = kept_ms;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct name **at = &shared.buckets[i]; *at != NULL;) {
            if ((*at)->under_way)
                at = &(*at)->next;
            else
                forget(at);
        }
    pthread_mutex_unlock(&shared.lock);
}
