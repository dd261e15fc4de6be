/*
 * Users, tokens, ended sessions and signing keys in Redis, the audit, and limits that hold over all instances.
 */
#ifndef STORE_CREDENTIALS_H
#define STORE_CREDENTIALS_H

#include "store/store.h"

/* Who does something, for the audit. Whoever admits a request has bounded all the texts. */
struct actor {
    struct str who;         /* "user:anna", "token:<id>", "worker:<id>", "nobody" */
    struct str address;     /* the client's */
    struct str coordinator; /* the instance */
};

/* A field of a credential and its value. An empty value removes the field. */
struct credential_field {
    const char *name;
    struct str value;
};

enum credential_mode {
    CREDENTIAL_NEW, /* it must not be there: ERR_EXISTS */
    CREDENTIAL_OLD, /* it must be there: ERR_NO_SUCH */
};

/* What is to become of a credential. */
struct credential_change {
    struct str member;  /* "user:anna", "token:<id>", "session:<id>" */
    const char *action; /* the audit's word for it */
    enum credential_mode mode;
    int max;         /* so many of its kind may be there: ERR_TOO_MANY */
    int64_t ends_at; /* ms since 1970 when it goes by itself; 0: never */
    const struct credential_field *fields;
    size_t field_count;
};

/* Makes or changes a credential. Waits until replicas confirm it where Redis demands that. */
MUST_CHECK enum err store_credential_put(struct store *store, const struct actor *actor, const struct credential_change *change,
                                         store_callback *callback, void *data);

/* Removes a credential. ERR_NO_SUCH: there is none of that name. */
MUST_CHECK enum err store_credential_remove(struct store *store, const struct actor *actor, const char *action, struct str member,
                                            store_callback *callback, void *data);

/* A credential as it is read: the value of a field, absent where it has none. Valid during the call alone. */
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
 * Reads a page of all credentials that come after `after` (absent: from the first one on). When `version` is the present
 * version, nothing has changed, and the first page is empty and the last one. Calls `row` for each credential, then `done`
 * once. The page is NULL on errors. Password hashes are not read.
 */
MUST_CHECK enum err store_credentials(struct store *store, struct str version, struct str after, store_credential_callback *row,
                                      store_credentials_callback *done, void *data);

/* A text from Redis, absent when there is none; valid during the call alone. */
typedef void store_text_callback(void *data, enum err err, struct str text);

/* Reads a user's password hash. ERR_NO_SUCH: there is no such user. `name` is a valid id. */
MUST_CHECK enum err store_password(struct store *store, struct str name, store_text_callback *callback, void *data);

/*
 * Makes the key `kid`, with the private half `pem`, the one that signs, if no key signs yet or if `rotate` is set. The callback
 * gets the name of the key that signs from now on. It may be a key of another coordinator.
 */
MUST_CHECK enum err store_signing_key(struct store *store, const struct actor *actor, struct str kid, struct str pem, bool rotate,
                                      store_text_callback *callback, void *data);

/* Notes something in the audit; nobody waits for it. */
void store_audit(struct store *store, const struct actor *actor, const char *action, struct str target, const char *outcome);

/* An entry of the audit; valid during the call alone. */
struct audit_entry {
    int64_t time; /* ms since 1970 */
    struct str id, who, address, coordinator, action, target, outcome;
};
typedef void store_audit_callback(void *data, const struct audit_entry *entry);

/* Reads the newest `max` entries older than the one called `before` (absent: of all), newest first. */
MUST_CHECK enum err store_audit_read(struct store *store, struct str before, size_t max, store_audit_callback *row,
                                     store_callback *done, void *data);

/* `wait_ms`: 0, or how long the caller is to wait before it may. */
typedef void store_limit_callback(void *data, enum err err, int64_t wait_ms);

/* Takes a piece from each of the `count` buckets called `names`; a bucket gets one every `interval_ms` and holds `burst`. */
MUST_CHECK enum err store_limit(struct store *store, int interval_ms, int burst, const struct str *names, size_t count,
                                store_limit_callback *callback, void *data);

#endif
