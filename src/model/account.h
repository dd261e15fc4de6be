/*
 * Reads an admin's requests to make or change a user or to make a token, from JSON to checked structs.
 */
#ifndef MODEL_ACCOUNT_H
#define MODEL_ACCOUNT_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/faults.h"

#define ACCOUNT_NAME_MAX 64 /* bytes of a user's name, and of a token's name */
#define ACCOUNT_SERVICES_MAX 512
#define ACCOUNT_EXPIRES_MAX 315360000 /* seconds: ten years */

struct account {
    struct str username; /* letters, digits, '.', '_', '-'; the first character is a letter or a digit */
    struct str password; /* absent: it stays as it is */
    struct str role;     /* viewer, user, operator or admin; absent: unchanged */
    void *document;      /* owned: the parsed JSON that the texts point into */
};

/* Whether `name` can be the name of a user. */
bool account_name_is_valid(struct str name);

/*
 * Reads {"username", "password", "role"}, which are all required; or, with `change`, {"password", "role"}, of which one is
 * required. The errors are those of registration_parse. It does not check whether the password is good enough.
 */
MUST_CHECK enum err account_parse(struct str body, bool change, struct account *out, struct faults *faults, const char **why);
void account_fini(struct account *account);

struct token_request {
    bool join;              /* for workers; else for a program */
    struct str name;        /* what it is called */
    struct str role;        /* of an api token */
    double expires_s;       /* seconds until it ends; 0: never */
    double max_workers;     /* of a join token; 0: any number */
    char tiers[8];          /* of a join token: "1,3"; empty: all */
    struct buffer services; /* of a join token: names with commas between; empty: all */
    void *document;
};

/*
 * Reads {"kind", "name", "role", "expires_seconds", "max_workers", "tiers", "services"}, and nothing else.
 * The errors are those of registration_parse.
 */
MUST_CHECK enum err token_request_parse(struct str body, struct token_request *out, struct faults *faults, const char **why);
void token_request_fini(struct token_request *request);

#endif
