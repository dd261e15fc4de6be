#include "base/log.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/mask.h"
#include "base/utf8.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

static enum log_level threshold = LOG_INFO;
static bool as_json = false;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(enum log_level level, bool json)
{
    threshold = level;
    as_json = json;
}

bool log_enabled(enum log_level level)
{
    return level >= threshold;
}

/* Adds a JSON string, with U+FFFD for each byte that is not UTF-8. */
static void add_json_string(struct buffer *line, struct str text)
{
    struct buffer clean = BUFFER_INIT;
    while (text.len > 0) {
        size_t length = utf8_length(text);
        buffer_append(&clean, length > 0 ? (struct str){text.ptr, length} : STR("\xEF\xBF\xBD"));
        size_t done = length > 0 ? length : 1;
        text.ptr += done;
        text.len -= done;
    }
    buffer_json_string(line, buffer_str(&clean));
    buffer_fini(&clean);
}

static void add_json(struct buffer *line, enum log_level level, const char *event, const char *message,
                     const struct log_field *fields)
{
    json_begin_object(line, NULL);
    json_add_time(line, "time", clock_wall_ms());
    json_add_text(line, "level", str_from(level_names[level]));
    json_add_text(line, "event", str_from(event));
    json_add_text(line, "message", str_from(message));
    for (; fields->name != NULL; fields++) {
        if (fields->text.ptr != NULL && fields->text.len == 0)
            continue; /* empty values are left out */
        json_begin_value(line, str_from(fields->name));
        if (fields->text.ptr != NULL)
            add_json_string(line, fields->text);
        else
            buffer_printf(line, "%.15g", fields->number);
    }
    json_end_object(line);
}

/* Adds a value; in quotes, with all but visible ASCII escaped, if it could be taken for more than one value or move the cursor. */
static void add_value(struct buffer *line, struct str text)
{
    bool plain = true;
    for (size_t i = 0; i < text.len; i++)
        plain = plain && text.ptr[i] > ' ' && text.ptr[i] <= '~' && text.ptr[i] != '"' && text.ptr[i] != '=';
    if (plain) {
        buffer_append(line, text);
        return;
    }
    buffer_append(line, STR("\""));
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte < ' ' || byte > '~')
            buffer_printf(line, "\\x%02x", byte);
        else if (byte == '"' || byte == '\\')
            buffer_printf(line, "\\%c", byte);
        else
            buffer_append(line, (struct str){text.ptr + i, 1});
    }
    buffer_append(line, STR("\""));
}

static void add_text(struct buffer *line, enum log_level level, const char *message, const struct log_field *fields)
{
    buffer_json_time(line, clock_wall_ms());
    /* the time without its quotes and date: 12:00:00.000 */
    memmove(line->ptr, line->ptr + 12, 12);
    line->len = 12;
    buffer_printf(line, " %-5s %-8s", level_names[level], message); /* padded, so that lines of requests stand in columns */
    for (; fields->name != NULL; fields++) {
        if (fields->text.ptr != NULL && fields->text.len == 0)
            continue;
        buffer_printf(line, "  %s=", fields->name);
        if (fields->text.ptr == NULL)
            buffer_printf(line, "%.15g", fields->number);
        else
            add_value(line, fields->text);
    }
}

/*
 * Writes a line. If the reader of the log has stopped, a pipe takes no more, and no thread may wait for that: lines are dropped
 * until the pipe takes some again. Then a line tells how many were dropped.
 */
static void put_line(struct buffer *line)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static size_t dropped = 0;
    if (line->len > PIPE_BUF) { /* a pipe with room takes so many without making us wait */
        line->len = PIPE_BUF;
        line->ptr[PIPE_BUF - 1] = '\n';
    }
    pthread_mutex_lock(&lock);
    struct pollfd stream = {STDERR_FILENO, POLLOUT, 0};
    if (poll(&stream, 1, 0) == 1 && (stream.revents & POLLOUT) != 0) {
        if (write(STDERR_FILENO, line->ptr, line->len) == -1)
            dropped++; /* a log that can't be written is no reason to stop */
        struct buffer note = BUFFER_INIT;
        buffer_printf(&note,
                      as_json ? "{\"level\":\"warn\",\"event\":\"log_dropped\",\"lines\":%zu}\n"
                              : "%zu lines of the log were dropped\n",
                      dropped);
        if (dropped > 0 && poll(&stream, 1, 0) == 1 && (stream.revents & POLLOUT) != 0 &&
            write(STDERR_FILENO, note.ptr, note.len) != -1)
            dropped = 0;
        buffer_fini(&note);
    } else {
        dropped++;
    }
    pthread_mutex_unlock(&lock);
}

void log_write(enum log_level level, const char *event, const char *message, const struct log_field *fields)
{
    if (!log_enabled(level))
        return;
    struct buffer line = BUFFER_INIT;
    if (as_json)
        add_json(&line, level, event, message, fields);
    else
        add_text(&line, level, message, fields);
    mask_tokens(line.ptr, line.len);
    buffer_append(&line, STR("\n"));
    put_line(&line);
    buffer_fini(&line);
}
