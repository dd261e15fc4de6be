#include "instance/shared_secret.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_MIN 32  /* bytes, as RFC 7518, section 3.2, demands for HMAC-SHA256 */
#define FILE_MAX 65536 /* bytes */

/* Whether `part` is in `text`, in upper or lower case. */
static bool has_part(struct str text, struct str part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (str_eq_nocase((struct str){text.ptr + i, part.len}, part))
            return true;
    return false;
}

/* Whether the secret contains a default of the old system, whose files and documents everybody can read. */
static bool is_known_to_everybody(struct str secret)
{
    static const struct str parts[] = {STR("change-this"), STR("change-in-production"),
                                       STR("2825841ff75efaeeeda05a61cf8d4d89fa95c5f48f8b626aa4aef351f954069a")};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (has_part(secret, parts[i]))
            return true;
    return false;
}

static enum err check_secret(const char *name, struct str secret, char why[256])
{
    if (secret.len >= SECRET_MIN && !is_known_to_everybody(secret))
        return ERR_NONE;
    snprintf(
        why, 256,
        "%s must have at least %d bytes that nobody can guess, and be none of the old system's defaults: openssl rand -base64 48 "
        "makes one",
        name, SECRET_MIN);
    return ERR_INVALID;
}

enum err shared_secret_read(struct buffer *out, char why[256])
{
    const char *value = getenv("JWT_SECRET"), *path = getenv("JWT_SECRET_FILE");
    if (value != NULL && value[0] != '\0') {
        enum err err = check_secret("JWT_SECRET", str_from(value), why);
        if (err != ERR_NONE)
            return err;
        buffer_append(out, str_from(value));
    }
    if (path == NULL || path[0] == '\0')
        return ERR_NONE;
    struct buffer text = BUFFER_INIT;
    enum err err = ERR_INVALID;
    if (!file_read(path, FILE_MAX, &text)) {
        snprintf(why, 256, "JWT_SECRET_FILE: %.100s can't be read: %s", path, strerror(errno));
    } else {
        struct str secret = buffer_str(&text);
        while (secret.len > 0 && strchr("\r\n", secret.ptr[secret.len - 1]) != NULL)
            secret.len--; /* editors add a newline, which is no part of the secret */
        err = check_secret("JWT_SECRET_FILE", secret, why);
        if (err == ERR_NONE && out->len == 0)
            buffer_append(out, secret);
    }
    buffer_wipe(&text);
    return err;
}
