/*
 * Log lines about faults that may repeat a thousand times. The first line of a kind is written at once. Later lines
 * like it are only counted. Now and then a line tells how many they were: at first every LOG_REPEAT_MS, then less and
 * less often, and once more soon after the last one. Each thread counts its own lines.
 */
#ifndef BASE_LOG_REPEAT_H
#define BASE_LOG_REPEAT_H

#include "base/log.h"

#include <stddef.h>
#include <stdint.h>

#define LOG_REPEAT_MS 10000          /* after so long a silence, a line of that kind counts as the first again */
#define LOG_REPEAT_LONGEST_MS 320000 /* the longest time between two lines that tell how many there were */
#define LOG_COUNTED_MS 600000        /* see log_write_counted */
#define LOG_ALIKE_MAX 4

/*
 * Writes a line like log_event, or counts it. Two lines are alike when they have the same level, event and message, and when
 * their first `alike` fields (at most LOG_ALIKE_MAX) begin with the same bytes. `event` and `message` must live for ever.
 */
#define log_repeatable(level, event, message, alike, ...)                                                                          \
    log_write_repeatable(level, event, message, alike, (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ) LOG_END})

void log_write_repeatable(enum log_level level, const char *event, const char *message, size_t alike,
                          const struct log_field *fields);

/*
 * Counts a line without writing it, as if one like it had been written before. A later line tells the number, as for
 * log_write_repeatable, but not before LOG_REPEAT_MS are over. The count ends after LOG_COUNTED_MS without such a
 * line.
 */
void log_write_counted(enum log_level level, const char *event, const char *message, size_t alike, const struct log_field *fields);

/* Writes the lines with numbers that are due. Call it in each turn of the thread's loop, with clock_ms. */
void log_repeat_tick(int64_t now);

/* Writes the lines for all numbers that were not told yet. Call it when the thread ends. */
void log_repeat_flush(void);

#endif
