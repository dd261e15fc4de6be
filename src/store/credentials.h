/*
 * Users, tokens, ended sessions and signing keys in Redis, the audit, and limits that all instances share.
 */
#ifndef STORE_CREDENTIALS_H
#define STORE_CREDENTIALS_H

#include "store/store.h"

/* Who does something, for the audit. All texts were bounded when the request was admitted. */
struct actor {
    struct str who;         /* "user:anna", "token:<id>", "worker:<id>", "nobody" */
    struct str address;     /* the client's */
    struct str coordinator; /* the instance */
    bool reaches_redis;     /* a command that needs no coordinator: it may do without an admin */
};

/* A field of a credential and its value. An empty value removes the field. */
struct credential_field {
    const char *name;
    struct str value;
};

enum credential_mode {
    CREDENTIAL_NEW, /* the credential must not exist: else ERR_EXISTS */
    CREDENTIAL_OLD, /* the credential must exist: else ERR_NO_SUCH */
};

/* A change of a credential. */
struct credential_change {
    struct str member;  /* "user:anna", "token:<id>", "session:<id>" */
    const char *action; /* the audit's word for it */
    enum credential_mode mode;
    int max;         /* so many of its kind may exist: else ERR_TOO_MANY */
    int64_t ends_at; /* ms since 1970 when it expires; 0: never */
    const struct credential_field *fields;
    size_t field_count;
};

/*
 * Makes or changes a credential. Waits until replicas confirm it where Redis demands that. ERR_LAST_ADMIN: the last admin would
 * have another role.
 */
MUST_CHECK enum err store_credential_put(struct store *store, const struct actor *actor, const struct credential_change *change,
                                         store_callback *callback, void *data);

/* Removes a credential. ERR_NO_SUCH: no credential has that name. ERR_LAST_ADMIN: it is the last admin. */
MUST_CHECK enum err store_credential_remove(struct store *store, const struct actor *actor, const char *action, struct str member,
                                            store_callback *callback, void *data);

/* A credential as it is read, valid during the call alone. The value of a field is absent if the credential does not have it. */
struct credential;
struct str credential_get(const struct credential *credential, const char *name);

typedef void store_credential_callback(void *data, struct str member, const struct credential *credential);

/* A page of a reading. */
struct credentials_page {
    struct str version;
    bool more;
    struct str last; /* the page's last member; absent when it is empty */
};
typedef void store_credentials_callback(void *data, enum err err, const struct credentials_page *page);

/*
 * Reads a page of all credentials that come after `after` (absent: from the first one on). If `version` is the present version,
 * nothing has changed: the first page is empty, and it is the last one. Calls `row` for each credential, then `done` once. The
 * page is NULL on errors. Password hashes are not read.
 */
MUST_CHECK enum err store_credentials(struct store *store, struct str version, struct str after, store_credential_callback *row,
                                      store_credentials_callback *done, void *data);

/* A text from Redis, absent if Redis has none; valid during the call alone. */
typedef void store_text_callback(void *data, enum err err, struct str text);

/* Reads a user's password hash. ERR_NO_SUCH: there is no such user. `name` is a valid id. */
MUST_CHECK enum err store_password(struct store *store, struct str name, store_text_callback *callback, void *data);

/*
 * Makes the key `kid`, with the private half `pem`, the signing key. "first": if there is none yet. "rotate": in place of the
 * present one, which stays known until its last token has ended. "forget": in place of all keys, which are known no more. The
 * callback gets the name of the key that signs from now on. It may be a key of another coordinator.
 */
MUST_CHECK enum err store_signing_key(struct store *store, const struct actor *actor, struct str kid, struct str pem,
                                      const char *mode, store_text_callback *callback, void *data);

/* Adds an entry to the audit, without waiting for the reply. */
void store_audit(struct store *store, const struct actor *actor, const char *action, struct str target, const char *outcome);

/* An entry of the audit; valid during the call alone. */
struct audit_entry {
    int64_t time; /* ms since 1970 */
    struct str id, who, address, coordinator, action, target, outcome;
};
typedef void store_audit_callback(void *data, const struct audit_entry *entry);

/*
 * Reads at most `max` entries, the newest first: those older than the entry with the id `before`, or the newest of all if
 * `before` is absent.
 */
MUST_CHECK enum err store_audit_read(struct store *store, struct str before, size_t max, store_audit_callback *row,
                                     store_callback *done, void *data);

/* `wait_ms`: 0 if all pieces were taken, else how long the caller must wait. */
typedef void store_limit_callback(void *data, enum err err, int64_t wait_ms);

/* Takes a piece from each of the `count` buckets called `names`; a bucket gets one every `interval_ms` and holds `burst`. */
MUST_CHECK enum err store_limit(struct store *store, int interval_ms, int burst, const struct str *names, size_t count,
                                store_limit_callback *callback, void *data);

#endif
