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

/* Those of workers' answers that the metrics count together. */
static const struct {
    int status;
    const char *reason;
} rare[] = {
    {203, "Non-Authoritative Information"},
    {205, "Reset Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {303, "See Other"},
    {307, "Temporary Redirect"},
    {402, "Payment Required"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {416, "Range Not Satisfiable"},
    {421, "Misdirected Request"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {451, "Unavailable For Legal Reasons"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
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
    size_t place = status_place(status);
    for (size_t i = 0; place == STATUS_COUNT && i < sizeof(rare) / sizeof(rare[0]); i++)
        if (rare[i].status == status)
            return rare[i].reason;
    return statuses[place].reason;
}
