/*
 * Registers, removes and drains single workers.
 */
#include "base/inet.h"
#include "model/catalogue.h"
#include "model/id.h"
#include "store/counters.h"
#include "store/internal.h"

#define OPENSSL_SUPPRESS_DEPRECATED /* see redis/script.c */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define DIGEST_SIZE 21 /* 80 bits in hex, and a NUL */

struct registering {
    store_registered_callback *callback;
    void *data;
    struct buffer worker_id, services; /* from the reply, kept until replicas have the registration */
    bool again, restarted;
    int64_t wait_ms; /* if its address has registered too many: until the next registration is accepted */
};

static void count_registration(enum err err, bool again)
{
    enum result result = err != ERR_NONE ? RESULT_FAILED : again ? RESULT_AGAIN : RESULT_DONE;
    metric_add(&metrics->counters[COUNTER_REGISTRATIONS + result], 1);
}

static void on_registered(void *data, enum err err, const struct redisReply *reply)
{
    struct registering *registering = data;
    if (err != ERR_NONE)
        return;
    registering->wait_ms = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    buffer_append(&registering->worker_id, reply_text(reply_element(reply, 0)));
    registering->again = str_eq(reply_text(reply_element(reply, 1)), STR("1"));
    buffer_append(&registering->services, reply_text(reply_element(reply, 2)));
    registering->restarted = str_eq(reply_text(reply_element(reply, 3)), STR("1"));
    if (str_eq(reply_text(reply_element(reply, 4)), STR("1")))
        store_log_conflict(reply_text(reply_element(reply, 0)), "registered");
}

static void on_registration_kept(void *data, enum err err)
{
    struct registering *registering = data;
    struct registered registered = {
        .worker_id = buffer_str(&registering->worker_id),
        .again = registering->again,
        .services = buffer_str(&registering->services),
        .restarted = registering->restarted,
        .wait_ms = registering->wait_ms,
    };
    if (err == ERR_NONE && registered.wait_ms > 0)
        err = ERR_LIMITED;
    if (err == ERR_NONE && !id_is_valid(registered.worker_id)) /* somebody has changed the identities with redis-cli */
        err = ERR_INTERNAL;
    count_registration(err, registered.again);
    registering->callback(registering->data, err, err == ERR_NONE || err == ERR_LIMITED ? &registered : NULL);
    buffer_fini(&registering->worker_id);
    buffer_fini(&registering->services);
    free(registering);
}

static void add_field(struct buffer *strings, size_t *count, enum worker_field field, struct str value)
{
    *count += command_add_pair(strings, worker_field_names[field], value);
}

/* Makes an id for a new worker: "worker-" and 8 hex digits. If it is in use, the script makes another one. */
static struct str make_id(char room[16])
{
    uint32_t random;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        abort();
    int len = snprintf(room, 16, "worker-%08x", random);
    return (struct str){room, (size_t)len};
}

/* Writes a digest of `text` in hex. */
static struct str write_digest(struct str text, char room[DIGEST_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, text.ptr, text.len);
    SHA256_Final(digest, &context);
    for (size_t i = 0; i < DIGEST_SIZE / 2; i++)
        snprintf(room + 2 * i, 3, "%02x", digest[i]);
    return (struct str){room, DIGEST_SIZE - 1};
}

/*
 * Describes a worker that sends neither its id nor its instance. If two workers look alike and one of them has missed a
 * heartbeat, they are the same. `looks` is a digest of its capabilities; `fingerprint` is a digest with its address, in the
 * form of older coordinators. Absent for workers that send an id.
 */
struct looks {
    struct str looks, fingerprint;
    char looks_room[DIGEST_SIZE], fingerprint_room[DIGEST_SIZE];
};

static void look_at(struct looks *looks, const struct registration *registration)
{
    looks->looks = looks->fingerprint = (struct str){NULL, 0};
    if (registration->worker_id.len > 0 || registration->instance_id.len > 0)
        return;
    struct buffer text = BUFFER_INIT;
    buffer_append(&text, registration->where.origin);
    buffer_append(&text, STR("\n"));
    size_t start = text.len;
    registration_write_looks(&text, registration);
    looks->looks = write_digest((struct str){text.ptr + start, text.len - start}, looks->looks_room);
    looks->fingerprint = write_digest(buffer_str(&text), looks->fingerprint_room);
    buffer_fini(&text);
}

/* Writes which machine it is: its boot_id, or a digest of its hardware; see lua/lib/machines.lua. */
static void write_machine(struct buffer *out, const struct registration *registration)
{
    char room[DIGEST_SIZE];
    registration_write_machine(out, registration);
    if (registration->boot_id.len > 0)
        return;
    struct str digest = write_digest(buffer_str(out), room);
    out->len = strlen("h:");
    buffer_append(out, (struct str){digest.ptr, DIGEST_SIZE / 2}); /* half of it tells a few machines apart */
}

/* Writes the address from which it calls, after a mark: whether that is the worker's address; see lua/lib/whereabouts.lua. */
static void write_caller(struct buffer *out, const struct whereabouts *where)
{
    if (where->caller.len == 0)
        return;
    buffer_append(out, where->is_taken ? STR("@") : STR("~"));
    buffer_append(out, where->caller);
}

static void add_name(struct buffer *names, struct str name)
{
    if (names->len > 0)
        buffer_append(names, STR(","));
    buffer_append(names, name);
}

/*
 * Adds the names of a tier's services, with commas between. Among equal ones the script takes the first. If `allowed` is not
 * empty, adds only services that it names.
 */
static void add_catalogue(struct buffer *names, enum tier tier, struct str allowed)
{
    for (size_t i = 0; i < catalogue_count; i++)
        if (catalogue[i].tier == tier && (allowed.len == 0 || str_list_has(allowed, catalogue[i].name)))
            add_name(names, catalogue[i].name);
}

/* Appends the names and values of the fields that a registration keeps. Returns how many strings these are. */
static size_t add_fields(struct buffer *fields, const struct registration *registration, struct str region)
{
    size_t count = 0;
    char port[12];
    const char *worker_type = tier_worker_type(registration->tier);
    add_field(fields, &count, WORKER_worker_type, str_from(worker_type));
    add_field(fields, &count, WORKER_capabilities, registration->capabilities);
    add_field(fields, &count, WORKER_hardware, buffer_str(&registration->hardware));
    add_field(fields, &count, WORKER_services, registration->services);
    add_field(fields, &count, WORKER_containers, registration->containers);
    add_field(fields, &count, WORKER_ip_address, registration->where.ip_address);
    snprintf(port, sizeof(port), "%d", registration->where.port);
    add_field(fields, &count, WORKER_port, registration->where.port > 0 ? str_from(port) : STR(""));
    add_field(fields, &count, WORKER_tunnel_url, registration->where.tunnel_url);
    add_field(fields, &count, WORKER_vpn_ip, registration->where.vpn_ip);
    add_field(fields, &count, WORKER_instance_id, registration->instance_id);
    add_field(fields, &count, WORKER_boot_id, registration->boot_id);
    add_field(fields, &count, WORKER_region, region);
    char dht_port[12], stamp[20];
    /* a short one, since each worker has one: if it is the old one by chance, sites.c still reads the registration again soon */
    snprintf(stamp, sizeof(stamp), "%04x", (unsigned)(store_random() & 0xffff));
    add_field(fields, &count, WORKER_tls_fingerprint, str_from(registration->tls_fingerprint));
    add_field(fields, &count, WORKER_stamp, str_from(stamp));
    snprintf(dht_port, sizeof(dht_port), "%d", registration->dht_port);
    add_field(fields, &count, WORKER_location, registration->location);
    add_field(fields, &count, WORKER_labels, buffer_str(&registration->labels));
    add_field(fields, &count, WORKER_dht_port, registration->dht_port > 0 ? str_from(dht_port) : STR(""));
    return count;
}

/* Writes the name of the bucket from which new workers of an address are taken; see lua/lib/limit.lua. */
static struct str write_bucket(struct str address, char room[80])
{
    char network[INET_TEXT_MAX];
    struct str client = inet_client(address, network);
    int len = snprintf(room, 80, "register:%.*s", STR_PRINTF(client));
    return (struct str){room, (size_t)len};
}

/* Texts that the script takes besides the fields; see lua/register.lua. */
struct lists {
    struct buffer advertised, catalogue, also, health, machine, caller;
};

static void write_lists(struct lists *lists, const struct registration *registration)
{
    *lists = (struct lists){.advertised = BUFFER_INIT};
    for (size_t i = 0; i < registration->service_count; i++)
        add_name(&lists->advertised, registration->service_names[i]);
    add_catalogue(&lists->catalogue, registration->tier, registration->join_services);
    if (registration->tier == TIER_GPU)
        add_catalogue(&lists->also, TIER_SERVICE, registration->join_services);
    registration_write_health(&lists->health, registration);
    write_machine(&lists->machine, registration);
    write_caller(&lists->caller, &registration->where);
}

static void lists_fini(struct lists *lists)
{
    buffer_fini(&lists->advertised);
    buffer_fini(&lists->catalogue);
    buffer_fini(&lists->also);
    buffer_fini(&lists->health);
    buffer_fini(&lists->machine);
    buffer_fini(&lists->caller);
}

/* Appends the command that registers a worker. */
static void write_registration(struct buffer *command, const struct store *store, const struct registration *registration)
{
    struct buffer fields = BUFFER_INIT;
    struct lists lists;
    struct looks looks;
    size_t count = add_fields(&fields, registration, store->config->region);
    write_lists(&lists, registration);
    look_at(&looks, registration);
    char id[16], tier[2] = {(char)('0' + registration->tier), '\0'}, max_services[12], join_max[12];
    snprintf(join_max, sizeof(join_max), "%d", registration->join_max);
    snprintf(max_services, sizeof(max_services), "%d", store->config->max_services);
    char bucket[80], interval[12] = "", burst[12] = "";
    int per_minute = registration->where.caller.len > 0 ? store->config->registrations_per_minute : 0;
    if (per_minute > 0) {
        snprintf(interval, sizeof(interval), "%d", 60000 / per_minute);
        snprintf(burst, sizeof(burst), "%d", 10 * per_minute);
    }
    struct str args[REGISTER_ARGS] = {
        [REGISTER_timeout] = buffer_str(&store->timeout),
        [REGISTER_removal] = buffer_str(&store->removal),
        [REGISTER_revive] = buffer_str(&store->revive),
        [REGISTER_missed] = buffer_str(registration->tier == TIER_EDGE ? &store->missed_edge : &store->missed),
        [REGISTER_candidate] = make_id(id),
        [REGISTER_worker_id] = registration->worker_id,
        [REGISTER_instance_id] = registration->instance_id,
        [REGISTER_tunnel_url] = registration->where.tunnel_url,
        [REGISTER_told_tunnel] = registration->where.told_tunnel,
        [REGISTER_fingerprint] = looks.fingerprint,
        [REGISTER_looks] = looks.looks,
        [REGISTER_origin] = registration->where.origin,
        [REGISTER_caller] = buffer_str(&lists.caller),
        [REGISTER_machine] = buffer_str(&lists.machine),
        [REGISTER_tier] = str_from(tier),
        [REGISTER_advertised] = buffer_str(&lists.advertised),
        [REGISTER_catalogue] = buffer_str(&lists.catalogue),
        [REGISTER_also] = buffer_str(&lists.also),
        [REGISTER_max_services] = str_from(max_services),
        [REGISTER_health] = buffer_str(&lists.health),
        [REGISTER_join] = registration->join,
        [REGISTER_grant] = registration->grant,
        [REGISTER_join_max] = str_from(join_max),
        [REGISTER_bucket] = per_minute > 0 ? write_bucket(registration->where.caller, bucket) : STR(""),
        [REGISTER_interval] = str_from(interval),
        [REGISTER_burst] = str_from(burst),
    };
    script_begin(command, SCRIPT_register, args, count);
    buffer_append(command, buffer_str(&fields));
    buffer_fini(&fields);
    lists_fini(&lists);
}

enum err store_register(struct store *store, const struct registration *registration, store_registered_callback *callback,
                        void *data)
{
    struct buffer command = BUFFER_INIT;
    write_registration(&command, store, registration);
    struct registering *registering = store_alloc(sizeof(*registering));
    *registering = (struct registering){.callback = callback, .data = data};
    store_sweep_first(store); /* silent workers then no longer count as providers of services */
    enum err err = store_run_replicated(store, SCRIPT_register, &command, on_registered, on_registration_kept, registering);
    if (err != ERR_NONE) {
        count_registration(err, false);
        free(registering);
    }
    return err;
}

static void count_unregistration(enum err err)
{
    enum result result = err == ERR_NONE ? RESULT_DONE : err == ERR_WORKER_NOT_FOUND ? RESULT_UNKNOWN : RESULT_FAILED;
    metric_add(&metrics->counters[COUNTER_UNREGISTRATIONS + result], 1);
}

static void on_unregistered(void *data, enum err err)
{
    count_unregistration(err);
    waiter_end(data, err);
}

enum err store_unregister(struct store *store, struct str worker_id, struct str join, store_callback *callback, void *data)
{
    struct waiter *waiter = waiter_new(store, callback, data);
    struct str args[UNREGISTER_ARGS] = {[UNREGISTER_worker_id] = worker_id, [UNREGISTER_join] = join};
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_unregister, args, 0);
    enum err err = store_run_replicated(store, SCRIPT_unregister, &command, NULL, on_unregistered, waiter);
    if (err != ERR_NONE) {
        count_unregistration(err);
        free(waiter);
    }
    return err;
}

enum err store_drain(struct store *store, struct str worker_id, bool drain, struct str reason, struct str from,
                     store_callback *callback, void *data)
{
    struct str args[DRAIN_ARGS] = {
        [DRAIN_worker_id] = worker_id,
        [DRAIN_drain] = drain ? STR("1") : STR("0"),
        [DRAIN_reason] = reason,
        [DRAIN_from] = from,
    };
    struct buffer command = BUFFER_INIT;
    script_begin(&command, SCRIPT_drain, args, 0);
    return store_run_replicated(store, SCRIPT_drain, &command, NULL, callback, data);
}
