#include "api/directory.h"

#include "base/clock.h"
#include "store/credentials.h"

#include <stdlib.h>

#define RETRIES 5 /* of a reading, if the directory changes between its pages */

struct waiting {
    struct waiting *next;
    directory_callback *callback;
    void *data;
};

/* One state of the directory. */
struct copy {
    struct directory_entry *entries; /* in the order of their members */
    size_t count, capacity;
    struct signing_key *keys;
    size_t key_count;
    char signs[SIGNING_KEY_ID_LEN + 1];
    int64_t newest; /* created_at of the key that signs, in ms since 1970 */
};

struct directory {
    struct store *store, *replica;
    struct copy present, coming;
    struct buffer version; /* of `present`; empty: nothing was ever read */
    struct buffer version_coming;
    bool reading;
    bool from_replica; /* the last reading was from the replica, which may lack newer entries */
    int retries;
    int64_t read_at; /* clock_ms when the last reading that succeeded began; 0: none has succeeded */
    int64_t began_at;
    const struct signing_keys *own_keys; /* of a file */
    unsigned generation, key_generation;
    struct waiting *waiting, *later; /* for the reading that is under way; for the next one */
};

struct directory *directory_new(struct store *store, struct store *replica)
{
    struct directory *directory = calloc(1, sizeof(*directory));
    if (directory == NULL)
        abort();
    directory->store = store;
    directory->replica = replica;
    return directory;
}

void directory_use_keys(struct directory *directory, const struct signing_keys *keys)
{
    directory->own_keys = keys;
}

static int compare_members(const void *a, const void *b)
{
    return strcmp(((const struct directory_entry *)a)->member, ((const struct directory_entry *)b)->member);
}

const struct directory_entry *directory_find(const struct directory *directory, struct str member)
{
    struct directory_entry key;
    if (member.len == 0 || member.len >= sizeof(key.member) || directory->present.count == 0)
        return NULL;
    memcpy(key.member, member.ptr, member.len);
    key.member[member.len] = '\0';
    return bsearch(&key, directory->present.entries, directory->present.count, sizeof(key), compare_members);
}

const struct directory_entry *directory_entries(const struct directory *directory, size_t *count)
{
    *count = directory->present.count;
    return directory->present.entries;
}

const struct signing_key *directory_keys(const struct directory *directory, size_t *count, const struct signing_key **signs)
{
    const struct copy *copy = &directory->present;
    *count = copy->key_count;
    *signs = NULL;
    for (size_t i = 0; i < copy->key_count; i++)
        if (strcmp(copy->keys[i].kid, copy->signs) == 0)
            *signs = &copy->keys[i];
    return copy->keys;
}

unsigned directory_generation(const struct directory *directory)
{
    return directory->generation;
}

unsigned directory_key_generation(const struct directory *directory)
{
    return directory->key_generation;
}

static void copy_fini(struct copy *copy)
{
    for (size_t i = 0; i < copy->count; i++)
        buffer_fini(&copy->entries[i].services);
    free(copy->entries);
    for (size_t i = 0; i < copy->key_count; i++)
        signing_key_fini(&copy->keys[i]);
    free(copy->keys);
    *copy = (struct copy){0};
}

/* Copies a text, with a NUL. Cuts a text that is too long, which only somebody's redis-cli can have made. */
static void set_text(char *room, size_t size, struct str text)
{
    size_t len = text.len < size ? text.len : size - 1;
    if (len > 0)
        memcpy(room, text.ptr, len);
    room[len] = '\0';
}

static int64_t get_number(const struct credential *credential, const char *name)
{
    char room[24];
    set_text(room, sizeof(room), credential_get(credential, name));
    return strtoll(room, NULL, 10);
}

/* Adds a key. False: `pem` is no valid key. */
static bool add_key(struct copy *copy, struct str pem)
{
    struct signing_key key;
    if (signing_key_read(pem, &key) != ERR_NONE)
        return false;
    copy->keys = realloc(copy->keys, (copy->key_count + 1) * sizeof(*copy->keys)); /* there are few */
    if (copy->keys == NULL)
        abort();
    copy->keys[copy->key_count++] = key;
    return true;
}

static void take_key(struct copy *copy, const struct credential *credential)
{
    int64_t created_at = get_number(credential, "created_at");
    if (add_key(copy, credential_get(credential, "pem")) && credential_get(credential, "retired_at").ptr == NULL &&
        created_at >= copy->newest) {
        copy->newest = created_at;
        set_text(copy->signs, sizeof(copy->signs), str_from(copy->keys[copy->key_count - 1].kid));
    }
}

static bool has_key(const struct copy *copy, const char *kid)
{
    for (size_t i = 0; i < copy->key_count; i++)
        if (strcmp(copy->keys[i].kid, kid) == 0)
            return true;
    return false;
}

/* Adds the keys of the file, of which the first one signs. */
static void add_own_keys(struct copy *copy, const struct signing_keys *own)
{
    for (size_t i = 0; i < own->count; i++)
        if (!has_key(copy, own->keys[i].kid) && !add_key(copy, buffer_str(&own->keys[i].private_pem)))
            abort();
    if (own->count > 0)
        set_text(copy->signs, sizeof(copy->signs), str_from(own->keys[0].kid));
}

static struct directory_entry *new_entry(struct copy *copy)
{
    if (copy->count == copy->capacity) {
        copy->capacity = copy->capacity > 0 ? 2 * copy->capacity : 64;
        copy->entries = realloc(copy->entries, copy->capacity * sizeof(*copy->entries));
        if (copy->entries == NULL)
            abort();
    }
    struct directory_entry *entry = &copy->entries[copy->count++];
    *entry = (struct directory_entry){.services = BUFFER_INIT};
    return entry;
}

static void on_credential(void *data, struct str member, const struct credential *credential)
{
    struct copy *copy = &((struct directory *)data)->coming;
    if (member.len > 4 && memcmp(member.ptr, "key:", 4) == 0) {
        take_key(copy, credential);
        return;
    }
    if (member.len >= sizeof(copy->entries->member))
        return; /* no coordinator makes such a member */
    struct directory_entry *entry = new_entry(copy);
    set_text(entry->member, sizeof(entry->member), member);
    set_text(entry->name, sizeof(entry->name), credential_get(credential, "name"));
    set_text(entry->digest, sizeof(entry->digest), credential_get(credential, "digest"));
    set_text(entry->created_by, sizeof(entry->created_by), credential_get(credential, "created_by"));
    set_text(entry->tiers, sizeof(entry->tiers), credential_get(credential, "tiers"));
    buffer_append(&entry->services, credential_get(credential, "services"));
    set_text(entry->password_tag, sizeof(entry->password_tag), credential_get(credential, "password_tag"));
    entry->role = role_from_name(credential_get(credential, "role"));
    entry->kind = str_eq(credential_get(credential, "kind"), STR("join")) ? SECRET_JOIN : SECRET_API;
    entry->max_workers = (int)get_number(credential, "max_workers");
    entry->created_at = get_number(credential, "created_at");
    entry->changed_at = get_number(credential, "changed_at");
    entry->expires_at = get_number(credential, "expires_at");
    entry->revoked_at = get_number(credential, "revoked_at");
    entry->signed_out = get_number(credential, "signed_out");
    entry->with_workers = credential_get(credential, "with_workers").len > 0;
}

static void end_reading(struct directory *directory, enum err err)
{
    struct waiting *waiting = directory->waiting, *next;
    directory->reading = false;
    directory->waiting = NULL;
    copy_fini(&directory->coming);
    for (; waiting != NULL; waiting = next) {
        next = waiting->next;
        waiting->callback(waiting->data, err);
        free(waiting);
    }
}

static void read_page(struct directory *directory, struct str after);

static bool have_same_keys(const struct copy *a, const struct copy *b)
{
    if (a->key_count != b->key_count)
        return false;
    for (size_t i = 0; i < a->key_count; i++)
        if (strcmp(a->keys[i].kid, b->keys[i].kid) != 0)
            return false;
    return true;
}

/* Puts the new copy, which is complete, in place of the old one. */
static void use_coming(struct directory *directory)
{
    struct copy old = directory->present;
    directory->present = directory->coming;
    directory->coming = (struct copy){0};
    struct buffer version = directory->version;
    directory->version = directory->version_coming;
    directory->version_coming = version;
    struct copy *copy = &directory->present;
    add_own_keys(copy, directory->own_keys);
    directory->generation++;
    directory->key_generation += !have_same_keys(copy, &old);
    copy_fini(&old);
}

static void on_page(void *data, enum err err, const struct credentials_page *page)
{
    struct directory *directory = data;
    if (err != ERR_NONE) {
        end_reading(directory, err);
        return;
    }
    bool first = directory->version_coming.len == 0;
    if (first && str_eq(page->version, buffer_str(&directory->version))) {
        directory->read_at = directory->began_at;
        end_reading(directory, ERR_NONE);
        return;
    }
    if (!first && !str_eq(page->version, buffer_str(&directory->version_coming)) && directory->retries++ < RETRIES) {
        copy_fini(&directory->coming); /* something changed between two pages */
        directory->version_coming.len = 0;
        read_page(directory, (struct str){NULL, 0});
        return;
    }
    if (first) /* of several versions, the oldest: then the next reading reads all again */
        buffer_append(&directory->version_coming, page->version);
    if (page->more) {
        read_page(directory, page->last);
        return;
    }
    use_coming(directory);
    directory->read_at = directory->began_at;
    end_reading(directory, ERR_NONE);
}

static void read_page(struct directory *directory, struct str after)
{
    bool primary = store_is_up(directory->store) || directory->replica == NULL;
    directory->from_replica = !primary;
    enum err err = store_credentials(primary ? directory->store : directory->replica, buffer_str(&directory->version), after,
                                     on_credential, on_page, directory);
    if (err != ERR_NONE)
        end_reading(directory, err);
}

static void begin_reading(struct directory *directory)
{
    directory->reading = true;
    directory->retries = 0;
    directory->began_at = clock_ms();
    directory->version_coming.len = 0;
    read_page(directory, (struct str){NULL, 0});
}

bool directory_is_complete(const struct directory *directory)
{
    return !directory->from_replica;
}

bool directory_has_anybody(const struct directory *directory)
{
    size_t count;
    const struct directory_entry *entries = directory_entries(directory, &count);
    for (size_t i = 0; i < count; i++)
        if (strncmp(entries[i].member, "user:", 5) == 0 || strncmp(entries[i].member, "token:", 6) == 0)
            return true;
    return false;
}

bool directory_is_fresh(struct directory *directory)
{
    int64_t age = clock_ms() - directory->read_at;
    if (directory->read_at == 0 || age > DIRECTORY_OLDEST_MS)
        return false;
    if (age > DIRECTORY_STALE_MS && !directory->reading)
        begin_reading(directory);
    return true;
}

static void add_waiting(struct waiting **list, directory_callback *callback, void *data)
{
    struct waiting *waiting = malloc(sizeof(*waiting));
    if (waiting == NULL)
        abort();
    *waiting = (struct waiting){*list, callback, data};
    *list = waiting;
}

/* A reading that is under way began before this call, so the caller waits for the next one. */
void directory_refresh(struct directory *directory, directory_callback *callback, void *data)
{
    add_waiting(directory->reading ? &directory->later : &directory->waiting, callback, data);
    if (!directory->reading)
        begin_reading(directory);
}

void directory_catch_up(struct directory *directory, directory_callback *callback, void *data)
{
    add_waiting(&directory->waiting, callback, data);
    if (!directory->reading)
        begin_reading(directory);
}

void directory_look_again(struct directory *directory, directory_callback *callback, void *data)
{
    if (!directory->reading && clock_ms() - directory->began_at >= DIRECTORY_MISSES_MS)
        directory_refresh(directory, callback, data);
    else
        add_waiting(&directory->later, callback, data);
}

int32_t directory_tick(struct directory *directory)
{
    if (directory->later == NULL)
        return 1000;
    int64_t due = directory->began_at + DIRECTORY_MISSES_MS - clock_ms();
    if (directory->reading || due > 0)
        return due > 0 ? (int32_t)due : 10;
    directory->waiting = directory->later;
    directory->later = NULL;
    begin_reading(directory);
    return directory->later != NULL ? DIRECTORY_MISSES_MS : 1000;
}
