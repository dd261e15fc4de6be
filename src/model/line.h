/*
 * Finds the lines of faults in a text file.
 */
#ifndef MODEL_LINE_H
#define MODEL_LINE_H

#include "base/buffer.h"

/* Counts the lines of a text. Most faults come in the file's order, so counting goes on from the last one. */
struct line_counter {
    struct str text;
    const char *counted; /* the line of this place is `line` */
    size_t line;
};

/* Starts at the first line of `text` (present), which must stay. */
struct line_counter line_counter_begin(struct str text);

/* The line of a place in the text, from 1. */
size_t line_of(struct line_counter *counter, const char *place);

/* Appends the fault of malformed JSON with its line and column: "workers.json:14:7: the file is not valid JSON." */
void line_add_syntax_fault(struct line_counter *counter, const char *path, const char *place, const char *why,
                           struct buffer *faults);

#endif
