#include "upstream/pool.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

#define KEEP_MARGIN_MS 1000 /* a connection is not used this shortly before the worker may close it */

static uint32_t add_to_hash(uint32_t hash, const void *bytes, size_t len)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ byte[i]) * 16777619U; /* FNV-1a */
    return hash;
}

static uint32_t hash_of(const struct target *target, const struct network_address *address)
{
    uint32_t hash = add_to_hash(2166136261U, address, sizeof(*address));
    hash = add_to_hash(hash, &target->port, sizeof(target->port));
    return target->is_address ? hash : add_to_hash(hash, target->host, strlen(target->host));
}

static bool leads_to(const struct peer *peer, const struct target *target, const struct network_address *address)
{
    return peer->port == target->port && peer->tls == target->tls && peer->pinned == target->pinned &&
           memcmp(&peer->address, address, sizeof(*address)) == 0 && strcmp(peer->host, target->host) == 0 &&
           (!peer->pinned || memcmp(peer->fingerprint, target->fingerprint, sizeof(peer->fingerprint)) == 0);
}

static struct peer *find_peer(struct pool *pool, const struct target *target, const struct network_address *address, uint32_t hash)
{
    struct peer *peer = pool->peers[hash & (POOL_BUCKETS - 1)];
    while (peer != NULL && (peer->hash != hash || !leads_to(peer, target, address)))
        peer = peer->next;
    return peer;
}

struct peer *pool_peer(struct pool *pool, const struct target *target, const struct network_address *address)
{
    uint32_t hash = hash_of(target, address);
    struct peer *peer = find_peer(pool, target, address, hash);
    if (peer == NULL) {
        size_t size = strlen(target->host) + 1;
        struct peer **bucket = &pool->peers[hash & (POOL_BUCKETS - 1)];
        peer = h2o_mem_alloc(sizeof(*peer) + size);
        *peer = (struct peer){*bucket, .hash = hash, .tls = target->tls, .pinned = target->pinned, .port = target->port};
        peer->address = *address;
        memcpy(peer->fingerprint, target->fingerprint, sizeof(peer->fingerprint));
        memcpy(peer->host, target->host, size);
        h2o_linklist_init_anchor(&peer->idle);
        *bucket = peer;
    }
    peer->connections++;
    pool->count++;
    pool->connects++;
    return peer;
}

/* Takes a connection out of the idle ones. */
static void take_out(struct wire *wire)
{
    h2o_linklist_unlink(&wire->of_peer);
    h2o_linklist_unlink(&wire->of_pool);
    wire->peer->idle_count--;
    wire->pool->idle_count--;
}

void pool_forget(struct wire *wire)
{
    struct pool *pool = wire->pool;
    struct peer *peer = wire->peer;
    if (wire->user == NULL)
        take_out(wire);
    pool->count--;
    if (--peer->connections > 0)
        return;
    struct peer **at = &pool->peers[peer->hash & (POOL_BUCKETS - 1)];
    while (*at != peer)
        at = &(*at)->next;
    *at = peer->next;
    free(peer);
}

/*
 * Whether an idle connection has brought neither data nor its end. TLS may send records without data (such as session tickets):
 * they do not count.
 */
static bool is_quiet(struct wire *wire)
{
    char byte;
    bool silent = recv(h2o_socket_get_fd(wire->socket), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN;
    return silent || (wire->ssl != NULL && wire_read(wire, &byte, 1) == -1 && errno == EAGAIN);
}

struct wire *pool_take(struct pool *pool, const struct target *target, const struct network_address *address, bool fresh,
                       wire_handler *handler, void *user)
{
    struct peer *peer = find_peer(pool, target, address, hash_of(target, address));
    if (peer == NULL || peer->idle_count == 0)
        return NULL;
    int64_t now = clock_ms();
    for (h2o_linklist_t *at = peer->idle.next, *next; at != &peer->idle; at = next) {
        struct wire *wire = H2O_STRUCT_FROM_MEMBER(struct wire, of_peer, at);
        int64_t limit = fresh ? POOL_FRESH_MS : POOL_IDLE_MS;
        next = at->next;
        if (now < wire->usable_at)
            continue;
        if (wire->keep_ms >= 0 && wire->keep_ms - KEEP_MARGIN_MS < limit)
            limit = wire->keep_ms - KEEP_MARGIN_MS;
        if (now - wire->idle_since >= limit)
            return NULL; /* the others have been idle for longer */
        if (!fresh || is_quiet(wire)) {
            take_out(wire);
            wire->handler = handler;
            wire->user = user;
            wire->reused = true;
            pool->reuses++;
            return wire;
        }
        bool last = peer->connections == 1;
        wire_close(wire);
        if (last)
            return NULL; /* wire_close freed the peer with its last connection */
    }
    return NULL;
}

void pool_keep(struct wire *wire, int keep_ms, bool bodiless)
{
    struct pool *pool = wire->pool;
    struct peer *peer = wire->peer;
    if ((keep_ms >= 0 && keep_ms <= KEEP_MARGIN_MS) || peer->idle_count >= POOL_PEER_IDLE_MAX) {
        wire_close(wire);
        return;
    }
    if (pool->idle_count >= POOL_IDLE_MAX)
        pool_give_up_one(pool);
    wire_read_start(wire);
    wire->user = NULL;
    wire->keep_ms = keep_ms;
    wire->idle_since = clock_ms();
    wire->usable_at = wire->idle_since + (bodiless ? POOL_DOUBT_MS : 0);
    h2o_linklist_insert(peer->idle.next, &wire->of_peer);
    h2o_linklist_insert(&pool->idle, &wire->of_pool);
    peer->idle_count++;
    pool->idle_count++;
}

static struct wire *oldest(const struct pool *pool)
{
    return pool->idle_count > 0 ? H2O_STRUCT_FROM_MEMBER(struct wire, of_pool, pool->idle.next) : NULL;
}

bool pool_give_up_one(struct pool *pool)
{
    struct wire *wire = oldest(pool);
    if (wire != NULL)
        wire_close(wire);
    return wire != NULL;
}

int32_t pool_tick(struct pool *pool, int64_t now)
{
    for (struct wire *wire; (wire = oldest(pool)) != NULL;) {
        int64_t left = wire->idle_since + POOL_IDLE_MS - now;
        if (left > 0)
            return (int32_t)left;
        wire_close(wire);
    }
    return POOL_IDLE_MS;
}

void pool_init(struct pool *pool, h2o_loop_t *loop)
{
    *pool = (struct pool){.loop = loop};
    h2o_linklist_init_anchor(&pool->idle);
}

void pool_fini(struct pool *pool)
{
    while (pool_give_up_one(pool))
        ;
}
