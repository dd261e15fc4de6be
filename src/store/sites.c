/*
 * Remembers where workers provide services, as this thread read it last.
 */
#include "base/clock.h"
#include "model/endpoint.h"
#include "store/routing.h"

#include <stdlib.h>

#define SETS 2048         /* of the table */
#define WAYS 2            /* sites in a set; the one that was read last comes first */
#define KEPT_MS 10000     /* a site is read again after this, since older coordinators change registrations but not their stamps, */
#define STAMPLESS_MS 1000 /* and make registrations without a stamp */

struct kept_site {
    struct buffer key, stamp, tls_fingerprint; /* key: "service worker" */
    struct endpoints endpoints;
    int64_t read_at; /* clock_ms */
};

struct sites {
    struct kept_site *sets[SETS][WAYS];
};

static void kept_site_free(struct kept_site *kept)
{
    if (kept == NULL)
        return;
    buffer_fini(&kept->key);
    buffer_fini(&kept->stamp);
    buffer_fini(&kept->tls_fingerprint);
    endpoints_fini(&kept->endpoints);
    free(kept);
}

static struct kept_site **set_of(struct store *store, struct str key)
{
    struct requests *requests = requests_of(store);
    if (requests->sites == NULL)
        requests->sites = store_alloc(sizeof(*requests->sites));
    return requests->sites->sets[str_hash(key) % SETS];
}

/* Puts a site that was just read into its set, in place of its older entry, or of the last entry. */
static void keep_site(struct kept_site **set, struct kept_site *made)
{
    size_t at = 0;
    while (at < WAYS - 1 && set[at] != NULL && !str_eq(buffer_str(&set[at]->key), buffer_str(&made->key)))
        at++;
    kept_site_free(set[at]);
    for (; at > 0; at--)
        set[at] = set[at - 1];
    set[0] = made;
}

/* Returns the site that was read with this stamp less than `limit` ms ago; NULL: there is none. */
static const struct kept_site *find_kept(struct store *store, struct str key, struct str stamp, int64_t limit)
{
    struct kept_site **set = set_of(store, key);
    for (size_t i = 0; i < WAYS && set[i] != NULL; i++)
        if (str_eq(buffer_str(&set[i]->key), key) && str_eq(buffer_str(&set[i]->stamp), stamp) &&
            clock_ms() - set[i]->read_at < limit)
            return set[i];
    return NULL;
}

static void tell_site(const struct kept_site *kept, uint64_t turn, site_callback *callback, void *data)
{
    struct site site = {.url = {NULL, 0}};
    if (kept->endpoints.count > 0)
        site.url = endpoints_at(&kept->endpoints, turn % kept->endpoints.count);
    if (kept->endpoints.count > 1)
        site.other = endpoints_at(&kept->endpoints, (turn + 1) % kept->endpoints.count);
    if (kept->tls_fingerprint.len > 0)
        site.tls_fingerprint = buffer_str(&kept->tls_fingerprint);
    callback(data, ERR_NONE, &site);
}

/* A site that is being read. */
struct finding {
    struct store *store;
    struct kept_site *made;
    size_t service_len;
    uint64_t turn;
    site_callback *callback;
    void *data;
};

static void on_worker(void *data, enum err err, const struct worker *worker, int64_t now)
{
    (void)now;
    struct finding *finding = data;
    struct kept_site *made = finding->made;
    struct str key = buffer_str(&made->key);
    const struct kept_site *old = NULL;
    if (err != ERR_NONE && err != ERR_WORKER_NOT_FOUND)
        old = find_kept(finding->store, key, buffer_str(&made->stamp), ROUTING_CUT_OFF_MS);
    if (err == ERR_NONE) {
        endpoints_find(&made->endpoints, worker, (struct str){key.ptr, finding->service_len});
        buffer_append(&made->tls_fingerprint, worker->fields[WORKER_tls_fingerprint]);
        made->read_at = clock_ms();
        keep_site(set_of(finding->store, key), made);
        tell_site(made, finding->turn, finding->callback, finding->data);
    } else {
        kept_site_free(made);
        if (old != NULL)
            tell_site(old, finding->turn, finding->callback, finding->data);
        else
            finding->callback(finding->data, err, NULL);
    }
    free(finding);
}

void sites_find(struct store *store, struct str worker_id, struct str service, struct str stamp, uint64_t turn,
                site_callback *callback, void *data)
{
    char room[2 * ID_MAX];
    memcpy(room, service.ptr, service.len);
    room[service.len] = ' ';
    memcpy(room + service.len + 1, worker_id.ptr, worker_id.len);
    struct str key = {room, service.len + 1 + worker_id.len};
    const struct kept_site *kept = find_kept(store, key, stamp, str_eq(stamp, STR("-")) ? STAMPLESS_MS : KEPT_MS);
    if (kept != NULL) {
        tell_site(kept, turn, callback, data);
        return;
    }
    struct finding *finding = store_alloc(sizeof(*finding));
    *finding = (struct finding){store, store_alloc(sizeof(*finding->made)), service.len, turn, callback, data};
    buffer_append(&finding->made->key, key);
    buffer_append(&finding->made->stamp, stamp);
    enum err err = store_get(store, worker_id, on_worker, finding);
    if (err != ERR_NONE)
        on_worker(finding, err, NULL, 0);
}
