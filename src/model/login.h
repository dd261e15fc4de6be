/*
 * POST /api/auth/login and POST /api/auth/verify, from their JSON to checked structs.
 */
#ifndef MODEL_LOGIN_H
#define MODEL_LOGIN_H

#include "base/err.h"
#include "base/faults.h"

#define LOGIN_NAME_MAX 64      /* bytes */
#define LOGIN_PASSWORD_MAX 256 /* bytes */

struct login {
    struct str username; /* a valid id of at most LOGIN_NAME_MAX bytes; else a name that nobody has */
    struct str password;
    void *document; /* owned: the parsed JSON; the texts point into it */
};

/* Reads a login from a body. The errors are those of registration_parse. */
MUST_CHECK enum err login_parse(struct str body, struct login *out, struct faults *faults, const char **why);

/* Frees what a login holds, and clears the password. */
void login_fini(struct login *login);

/*
 * Reads the member "token" of a body into `room`; *token is empty if there is none. False if the body is not a JSON object, or
 * the token is not a text of at most `size` bytes.
 */
bool login_read_token(struct str body, char *room, size_t size, struct str *token);

#endif
