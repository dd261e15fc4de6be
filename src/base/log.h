/*
 * Writes one line per event on stderr: readable text on a terminal, JSON elsewhere. No line has a secret, a token or a body.
 * Values may come from strangers, so text is visible ASCII with everything else escaped, and JSON is valid UTF-8.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Sets what is logged and how; the defaults are LOG_INFO and text. Call it before any thread starts. */
void log_init(enum log_level level, bool json);

/* Whether lines of that level are written at all. Call it before you compute costly arguments. */
bool log_enabled(enum log_level level);

/*
 * A value of a line, made by log_str, log_text or log_number. A name of NULL ends the list.
 */
struct log_field {
    const char *name;
    struct str text; /* absent: it is a number */
    double number;
};

static inline struct log_field log_str(const char *name, struct str text)
{
    return (struct log_field){name, text.ptr != NULL ? text : STR(""), 0};
}

static inline struct log_field log_text(const char *name, const char *text)
{
    return log_str(name, str_from(text));
}

static inline struct log_field log_number(const char *name, double number)
{
    return (struct log_field){name, {NULL, 0}, number};
}

#define LOG_END                                                                                                                    \
    {                                                                                                                              \
        NULL, {NULL, 0}, 0                                                                                                         \
    }

/*
 * Writes a line: log_event(LOG_INFO, "listening", "ready for workers", log_number("port", 8080)). `event` is the name
 * of the kind of event, for programs. `message` is a sentence for people.
 */
#define log_event(level, event, message, ...)                                                                                      \
    log_write(level, event, message, (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ) LOG_END})

void log_write(enum log_level level, const char *event, const char *message, const struct log_field *fields);

#endif
