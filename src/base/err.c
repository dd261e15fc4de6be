#include "base/err.h"

static const struct {
    int status;
    struct str word;
    bool retryable;
    const char *detail;
} table[ERR_COUNT] = {[ERR_NONE] = {200, {NULL, 0}, false, "OK"},
#define X(name, status, word, retryable, detail) [name] = {status, {word, sizeof(word) - 1}, retryable, detail},
                      ERR_TABLE(X)
#undef X
};

int err_status(enum err err)
{
    return table[err].status;
}

bool err_is_retryable(enum err err)
{
    return table[err].retryable;
}

const char *err_detail(enum err err)
{
    return table[err].detail;
}

const char *err_reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Payload Too Large";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 422:
        return "Unprocessable Content";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return "Error";
    }
}

enum err err_from_reply(struct str reply)
{
    struct str word = str_cut(&reply, ' ');
    for (int err = ERR_NONE + 1; err < ERR_COUNT; err++)
        if (table[err].word.len > 0 && str_eq(table[err].word, word))
            return (enum err)err;
    return ERR_INTERNAL;
}
