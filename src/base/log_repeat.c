#include "base/log_repeat.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define KINDS_MAX 128 /* lines of further kinds are only counted, all together */
#define TEXT_MAX 192  /* bytes of a field that are compared and kept */
#define LOOK_MS 200

/* A kind of line: the same level, event, message and first `alike` fields. */
struct kind {
    enum log_level level;
    const char *event, *message;
    size_t alike;
    struct {
        const char *name;
        bool is_number;
        double number;
        size_t len; /* of the whole text; its first TEXT_MAX bytes are kept */
        char text[TEXT_MAX];
    } fields[LOG_ALIKE_MAX];
    size_t count; /* lines since the last one that was written */
    int64_t told_at, last_at;
    int64_t window_ms; /* from told_at until the count is written */
    int64_t forget_ms; /* from last_at until it is forgotten */
};

static _Thread_local struct kind kinds[KINDS_MAX];
static _Thread_local size_t kind_count;
static _Thread_local int64_t looked_at;
static _Thread_local size_t others; /* lines that found no room in `kinds` */

static size_t kept_len(size_t len)
{
    return len < TEXT_MAX ? len : TEXT_MAX;
}

static bool is_of(const struct kind *kind, enum log_level level, const char *event, const char *message, size_t alike,
                  const struct log_field *fields)
{
    if (kind->level != level || kind->alike != alike || strcmp(kind->event, event) != 0 || strcmp(kind->message, message) != 0)
        return false;
    for (size_t i = 0; i < alike; i++) {
        struct str text = fields[i].text;
        bool same = text.ptr == NULL ? kind->fields[i].is_number && kind->fields[i].number == fields[i].number
                                     : !kind->fields[i].is_number && kept_len(kind->fields[i].len) == kept_len(text.len) &&
                                           memcmp(kind->fields[i].text, text.ptr, kept_len(text.len)) == 0;
        if (!same)
            return false;
    }
    return true;
}

static void remember(struct kind *kind, const struct log_field *fields)
{
    for (size_t i = 0; i < kind->alike; i++) {
        struct str text = fields[i].text;
        kind->fields[i].name = fields[i].name;
        kind->fields[i].is_number = text.ptr == NULL;
        kind->fields[i].number = fields[i].number;
        kind->fields[i].len = text.len;
        if (text.ptr != NULL)
            memcpy(kind->fields[i].text, text.ptr, kept_len(text.len));
    }
}

/* Finds or adds the kind of a line. NULL: there are too many kinds, and the line was counted in `others`. */
static struct kind *find_kind(enum log_level level, const char *event, const char *message, size_t alike,
                              const struct log_field *fields, bool *is_new)
{
    int64_t now = clock_ms();
    *is_new = false;
    for (size_t i = 0; i < kind_count; i++) {
        if (is_of(&kinds[i], level, event, message, alike, fields)) {
            kinds[i].last_at = now;
            return &kinds[i];
        }
    }
    if (kind_count == KINDS_MAX) {
        others++;
        return NULL;
    }
    struct kind *kind = &kinds[kind_count++];
    kind->level = level;
    kind->event = event;
    kind->message = message;
    kind->alike = alike;
    kind->count = 0;
    kind->told_at = kind->last_at = now;
    kind->window_ms = kind->forget_ms = LOG_REPEAT_MS;
    remember(kind, fields);
    *is_new = true;
    return kind;
}

void log_write_repeatable(enum log_level level, const char *event, const char *message, size_t alike,
                          const struct log_field *fields)
{
    bool is_new;
    struct kind *kind = log_enabled(level) ? find_kind(level, event, message, alike, fields, &is_new) : NULL;
    if (kind == NULL)
        return;
    if (is_new)
        log_write(level, event, message, fields);
    else
        kind->count++;
}

void log_write_counted(enum log_level level, const char *event, const char *message, size_t alike, const struct log_field *fields)
{
    bool is_new;
    struct kind *kind = log_enabled(level) ? find_kind(level, event, message, alike, fields, &is_new) : NULL;
    if (kind == NULL)
        return;
    kind->forget_ms = LOG_COUNTED_MS;
    kind->count++;
}

/* Returns field `i` of a kind. A text that was too long to be kept is cut after a word and ends with "...", in `room`. */
static struct log_field field_of(const struct kind *kind, size_t i, char room[TEXT_MAX + 4])
{
    const char *text = kind->fields[i].text;
    size_t len = kind->fields[i].len;
    if (kind->fields[i].is_number)
        return log_number(kind->fields[i].name, kind->fields[i].number);
    if (len <= TEXT_MAX)
        return log_str(kind->fields[i].name, (struct str){text, len});
    const char *blank = memrchr(text, ' ', TEXT_MAX);
    int kept = blank != NULL ? (int)(blank - text) : TEXT_MAX;
    snprintf(room, TEXT_MAX + 4, "%.*s...", kept, text);
    return log_text(kind->fields[i].name, room);
}

/* Writes a line that says how many lines of the kind came since the last one was written. */
static void kind_tell(struct kind *kind, int64_t now)
{
    if (kind->count > 0) {
        struct log_field fields[LOG_ALIKE_MAX + 3];
        char message[128], rooms[LOG_ALIKE_MAX][TEXT_MAX + 4];
        for (size_t i = 0; i < kind->alike; i++)
            fields[i] = field_of(kind, i, rooms[i]);
        fields[kind->alike] = log_number("times", (double)kind->count);
        int64_t seconds = (now - kind->told_at + 999) / 1000;
        fields[kind->alike + 1] = log_number("seconds", (double)seconds);
        fields[kind->alike + 2] = (struct log_field)LOG_END;
        snprintf(message, sizeof(message), "%s again", kind->message);
        log_write(kind->level, kind->event, message, fields);
    }
    kind->count = 0;
    kind->told_at = now;
}

void log_repeat_tick(int64_t now)
{
    if (kind_count == 0 || now - looked_at < LOOK_MS)
        return;
    looked_at = now;
    for (size_t i = kind_count; i-- > 0;) {
        struct kind *kind = &kinds[i];
        if (now - kind->last_at >= kind->forget_ms) {
            kind_tell(kind, now);
            *kind = kinds[--kind_count];
        } else if (now - kind->told_at >= kind->window_ms) {
            kind_tell(kind, now);
            kind->window_ms = kind->window_ms * 2 < LOG_REPEAT_LONGEST_MS ? kind->window_ms * 2 : LOG_REPEAT_LONGEST_MS;
        }
    }
    if (others > 0 && kind_count < KINDS_MAX) {
        log_event(LOG_WARN, "log_repeats", "failures of too many kinds at once were only counted",
                  log_number("times", (double)others));
        others = 0;
    }
}

void log_repeat_flush(void)
{
    for (size_t i = 0; i < kind_count; i++)
        kind_tell(&kinds[i], clock_ms());
    kind_count = 0;
}
