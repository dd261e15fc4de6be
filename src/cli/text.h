/*
 * Text for a terminal. Texts of workers may have any characters. When they are shown with these functions, none of them moves the
 * cursor, changes colours or turns the direction of writing.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "base/buffer.h"

/*
 * Appends `text`, which need not be UTF-8, with a "?" for every character that a terminal would obey instead of showing it. A
 * text wider than `room` columns is cut and ends in "…". Returns the columns taken.
 */
size_t text_show(struct buffer *out, struct str text, size_t room);

/* Appends valid JSON with those characters as \u escapes, so it stays the same JSON. */
void text_show_json(struct buffer *out, struct str json);

/* Appends "12 s", "5 min", "7 h", "3 days". */
void text_add_duration(struct buffer *out, double seconds);

/* Appends a load from 0 to 1 as "24 %". */
void text_add_load(struct buffer *out, double load);

enum colour { COLOUR_NONE, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED, COLOUR_FAINT, COLOUR_BOLD };

/* The terminal on stdout. A file or a pipe takes lines of any length, and no colours. */
struct terminal {
    size_t columns; /* SIZE_MAX: no limit */
    size_t rows;
    bool colours;
};

/* Finds out the size of the terminal, and whether it takes colours. */
void terminal_look(struct terminal *terminal);

/* Returns the colour for a worker's, a service's or a fleet's status. */
enum colour status_colour(struct str status);

/* Appends text in a colour, as text_show does. Returns the columns taken. */
size_t terminal_show(const struct terminal *terminal, struct buffer *out, struct str text, size_t room, enum colour colour);

/* Writes the buffer to stdout and empties it; false if stdout takes no more. */
bool print_buffer(struct buffer *text);

#define TABLE_COLUMNS_MAX 8

struct column {
    const char *title;
    bool right;      /* its texts are aligned to the right: numbers */
    bool may_shrink; /* its texts are cut if the terminal is too narrow */
};

/*
 * A table that is printed in parts. A column is as wide as its widest text so far, and never gets narrower. Columns for which
 * the terminal has no room are left out, from the right.
 */
struct table {
    const struct terminal *terminal;
    const struct column *columns;
    size_t count;
    size_t widths[TABLE_COLUMNS_MAX];
    bool begun;         /* the titles have been printed */
    struct cell *cells; /* the cells of the rows that wait to be printed, one after the other */
    size_t cell_count, cell_room;
    struct buffer texts;
};

void table_init(struct table *table, const struct terminal *terminal, const struct column *columns, size_t count);
void table_fini(struct table *table);

/* Adds the next cell of a row. */
void table_add(struct table *table, struct str text, enum colour colour);

/* Moves the waiting rows to `out`, the first time with the titles. */
void table_print(struct table *table, struct buffer *out);

#endif
