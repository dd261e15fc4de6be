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
    struct str username; /* a valid id of at most LOGIN_NAME_MAX bytes, or one that nobody has */
    struct str password;
    void *document; /* owned: the parsed JSON that the texts point into */
};

/* As registration_parse. */
MUST_CHECK enum err login_parse(struct str body, struct login *out, struct faults *faults, const char **why);

/* Frees what a login holds, and clears the password. */
void login_fini(struct login *login);

/*
 * Reads the member "token" of a body into `room`; *token is empty when there is none. False when the body is no JSON object, or
 * the token is no text of at most `size` bytes.
 */
bool login_read_token(struct str body, char *room, size_t size, struct str *token);

#endif
