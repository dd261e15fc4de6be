/*
 * A thread's copy of the users, tokens, ended sessions and keys in Redis. With the copy a request is admitted without asking
 * Redis, wrong tokens cost Redis nothing, and an outage locks nobody out.
 *
 * A copy is read again when it is needed and older than DIRECTORY_STALE_MS. That costs one short call when nothing has changed.
 * A coordinator without requests reads nothing.
 */
#ifndef API_DIRECTORY_H
#define API_DIRECTORY_H

#include "auth/jwt.h"
#include "auth/password.h"
#include "auth/role.h"
#include "auth/secret.h"
#include "auth/signing_key.h"
#include "store/store.h"

#include <stdint.h>

#define DIRECTORY_NAME_MAX 64
#define DIRECTORY_USERS_MAX 1000
#define DIRECTORY_TOKENS_MAX 10000
#define DIRECTORY_SESSIONS_MAX 10000
#define DIRECTORY_STALE_MS 2000 /* an older copy is read again, and is still used meanwhile */
#define DIRECTORY_MISSES_MS 250
#define DIRECTORY_OLDEST_MS 4000 /* if the copy is older, requests wait for the new one, unless Redis is away */

/* A user, a token, or an ended session. Its texts end with a NUL. */
struct directory_entry {
    char member[DIRECTORY_NAME_MAX + 16]; /* "user:anna", "token:<id>", "session:<id>" */
    char name[DIRECTORY_NAME_MAX + 1];    /* of a token: what it is called */
    enum role role;                       /* of a user, of a program's token */
    enum secret_kind kind;                /* of a token */
    char digest[SECRET_DIGEST_LEN + 1];   /* of a token */
    char created_by[DIRECTORY_NAME_MAX + 16];
    char tiers[8];                           /* of a join token: those that it may register, "1,3"; empty: all */
    struct buffer services;                  /* likewise its services, with commas between */
    int max_workers;                         /* of a join token; 0: any number */
    char password_tag[PASSWORD_TAG_LEN + 1]; /* of a user: stands for the password; sessions carry it */
    int64_t created_at, changed_at;
    int64_t expires_at; /* ms since 1970; 0: never */
    int64_t revoked_at; /* ms since 1970; 0: not revoked */
    int64_t signed_out; /* of a user, seconds since 1970: its sessions that would expire before this are ended */
    bool with_workers;  /* the revocation also ends the tokens of its workers */
};

struct directory;

/*
 * Makes a directory that reads from `store`, or, while the primary is away, from `replica` (may be NULL). Lives as long as the
 * program.
 */
struct directory *directory_new(struct store *store, struct store *replica);

/* Returns the entry of that name; NULL when there is none. Valid until the next turn of the loop. */
const struct directory_entry *directory_find(const struct directory *directory, struct str member);

/* Returns all entries, in the order of their members. Valid until the next turn of the loop. */
const struct directory_entry *directory_entries(const struct directory *directory, size_t *count);

/* Whether the last reading was from the primary. A replica may lack the newest entries. */
bool directory_is_complete(const struct directory *directory);

/* Whether there is a user or a token. */
bool directory_has_anybody(const struct directory *directory);

/*
 * Returns the present and the former signing keys. *signs is the present one; NULL: none is known. Valid until the next turn of
 * the loop.
 */
const struct signing_key *directory_keys(const struct directory *directory, size_t *count, const struct signing_key **signs);

/* Grows whenever anything has changed. */
unsigned directory_generation(const struct directory *directory);

/* Grows whenever the keys have changed. Results that depend on older keys are then no longer valid. */
unsigned directory_key_generation(const struct directory *directory);

/*
 * Makes the first of the operator's keys, from a file, the signing key; the others verify, too. Without any, the key in Redis
 * signs. Call it before the first reading. `keys` must live as long as the directory.
 */
void directory_use_keys(struct directory *directory, const struct signing_keys *keys);

/* Whether the copy may be used at once. If it is stale, it is read again meanwhile. */
bool directory_is_fresh(struct directory *directory);

/* ERR_NONE: the copy is new. Else the copy is unchanged, because Redis is away. */
typedef void directory_callback(void *data, enum err err);

/*
 * Reads the copy again. A reading that is under way began before this call, so then the next reading is waited for. Calls
 * `callback` once after that, in a later turn or before it returns.
 */
void directory_refresh(struct directory *directory, directory_callback *callback, void *data);

/* Does the same for a copy that is only too old: a reading that is already under way is enough. */
void directory_catch_up(struct directory *directory, directory_callback *callback, void *data);

/*
 * Does the same for an entry that was not found, since it may exist by now. However many requests look for unknown entries, Redis
 * is asked at most once every DIRECTORY_MISSES_MS, and the requests wait until then.
 */
void directory_look_again(struct directory *directory, directory_callback *callback, void *data);

/* To be called in each turn of the loop. Returns the ms until the next call. */
int32_t directory_tick(struct directory *directory);

#endif
