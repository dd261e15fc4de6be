#include "base/err.h"

static const struct {
    int status;
    struct str code, word;
    bool retryable;
} errors[ERR_COUNT] = {[ERR_NONE] = {200, {"", 0}, {"", 0}, false},
#define X(name, status, word, code, retryable) [name] = {status, {code, sizeof(code) - 1}, {word, sizeof(word) - 1}, retryable},
                       ERR_TABLE(X)
#undef X
};

static const struct {
    int status;
    const char *reason;
} statuses[STATUS_COUNT + 1] = {
#define X(status, reason) {status, reason},
    STATUS_TABLE(X)
#undef X
        {0, "Error"},
};

int err_status(enum err err)
{
    return errors[err].status;
}

struct str err_code(enum err err)
{
    return errors[err].code;
}

bool err_is_retryable(enum err err)
{
    return errors[err].retryable;
}

enum err err_from_reply(struct str reply)
{
    struct str word = str_cut(&reply, ' ');
    for (int err = ERR_NONE + 1; err < ERR_COUNT; err++)
        if (errors[err].word.len > 0 && str_eq(errors[err].word, word))
            return (enum err)err;
    return ERR_INTERNAL;
}

size_t status_place(int status)
{
    size_t place = 0;
    while (place < STATUS_COUNT && statuses[place].status != status)
        place++;
    return place;
}

int status_at(size_t place)
{
    return statuses[place].status;
}

const char *status_reason(int status)
{
    return statuses[status_place(status)].reason;
}
