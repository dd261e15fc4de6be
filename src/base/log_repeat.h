/*
 * Log lines about what may go wrong a thousand times. The first line of a kind is written at once. Lines like it that follow
 * are only counted, and a line tells their number: at first every LOG_REPEAT_MS, then less and less often, and once more soon
 * after the last one. Each thread counts its own lines.
 */
#ifndef BASE_LOG_REPEAT_H
#define BASE_LOG_REPEAT_H

#include "base/log.h"

#include <stddef.h>
#include <stdint.h>

#define LOG_REPEAT_MS 10000          /* of silence, after which a line of that kind is news again */
#define LOG_REPEAT_LONGEST_MS 320000 /* between two lines that tell the number of what goes on */
#define LOG_COUNTED_MS 600000
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
 * Counts a line as if one like it had been written before. Its number is told in the same way as those of log_write_repeatable,
 * but not before LOG_REPEAT_MS are over. The line stays known until LOG_COUNTED_MS of silence are over.
 */
void log_write_counted(enum log_level level, const char *event, const char *message, size_t alike, const struct log_field *fields);

/* Tells the numbers whose time has come. Call it in each turn of the thread's loop, with clock_ms. */
void log_repeat_tick(int64_t now);

/* Tells all numbers that were not told yet. Call it when the thread ends. */
void log_repeat_flush(void);

#endif
