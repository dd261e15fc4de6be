/*
 * What may go wrong a thousand times: the first line of its kind is written at once. Those alike that follow are only counted,
 * and a line tells their number, at first every LOG_REPEAT_MS, more and more seldom as it goes on, and soon after the last one.
 * Each thread counts its own.
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
 * Writes a line like log_event, or counts it. Alike are lines of one level, event and message (texts that live for ever) whose
 * first `alike` fields, at most LOG_ALIKE_MAX, are the same in their first bytes.
 */
#define log_repeatable(level, event, message, alike, ...)                                                                          \
    log_write_repeatable(level, event, message, alike, (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ) LOG_END})

void log_write_repeatable(enum log_level level, const char *event, const char *message, size_t alike,
                          const struct log_field *fields);

/*
 * Counts a line as one that has been written before, as often as need be: its number is told as those of log_write_repeatable
 * are, though no sooner than after LOG_REPEAT_MS, and it stays known for LOG_COUNTED_MS of silence.
 */
void log_write_counted(enum log_level level, const char *event, const char *message, size_t alike, const struct log_field *fields);

/* Tells the numbers whose time has come. To be called in each turn of the thread's loop, with clock_ms. */
void log_repeat_tick(int64_t now);

/* Tells all numbers that were not told yet: the thread ends. */
void log_repeat_flush(void);

#endif
