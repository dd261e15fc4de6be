#include "cli/text.h"

#include "base/utf8.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SHRINK_LEAST 6 /* columns that a column keeps when it shrinks */
#define GAP 2          /* blanks between two columns */

struct range {
    uint32_t first, last;
};

/* Control characters, marks without a width, and characters that turn the direction of writing. */
static const struct range obeyed[] = {
    {0x00, 0x1F},     {0x7F, 0x9F},     {0xAD, 0xAD},     {0x300, 0x36F},   {0x61C, 0x61C},   {0x200B, 0x200F},
    {0x2028, 0x202E}, {0x2060, 0x206F}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE0FFF},
};

/* Characters that take two columns: East Asian writing, pictures. */
static const struct range wide[] = {
    {0x1100, 0x115F}, {0x2E80, 0xA4CF}, {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
    {0xFE30, 0xFE6F}, {0xFF00, 0xFF60}, {0x1F300, 0x1FAFF}, {0x20000, 0x3FFFD},
};

static bool is_in(const struct range *ranges, size_t count, uint32_t character)
{
    for (size_t i = 0; i < count; i++)
        if (character >= ranges[i].first && character <= ranges[i].last)
            return true;
    return false;
}

static bool is_obeyed(uint32_t character)
{
    return is_in(obeyed, sizeof(obeyed) / sizeof(obeyed[0]), character);
}

size_t text_show(struct buffer *out, struct str text, size_t room)
{
    size_t columns = 0, whole_len = out->len, whole_columns = 0; /* the longest part after which "…" still fits */
    while (text.len > 0) {
        struct str bytes;
        uint32_t character = utf8_take(&text, &bytes);
        size_t width = is_in(wide, sizeof(wide) / sizeof(wide[0]), character) ? 2 : 1;
        if (columns + width > room) {
            out->len = whole_len;
            if (whole_columns < room)
                buffer_append(out, STR("…"));
            return whole_columns < room ? whole_columns + 1 : whole_columns;
        }
        buffer_append(out, is_obeyed(character) ? STR("?") : bytes);
        columns += width;
        if (columns < room) {
            whole_len = out->len;
            whole_columns = columns;
        }
    }
    return columns;
}

void text_show_json(struct buffer *out, struct str json)
{
    while (json.len > 0) {
        struct str bytes;
        uint32_t character = utf8_take(&json, &bytes);
        if (character < 0x20) /* in JSON these are white space */
            buffer_append(out, character == '\n' ? STR("\n") : STR(" "));
        else if (character <= 0xFFFF && is_obeyed(character))
            buffer_printf(out, "\\u%04x", character);
        else
            buffer_append(out, bytes);
    }
}

void text_add_duration(struct buffer *out, double seconds)
{
    if (!(seconds >= 0) || seconds > 1e12)
        buffer_append(out, STR("?"));
    else if (seconds < 60)
        buffer_printf(out, "%.0f s", floor(seconds));
    else if (seconds < 3600)
        buffer_printf(out, "%.0f min", floor(seconds / 60));
    else if (seconds < 2 * 86400)
        buffer_printf(out, "%.0f h", floor(seconds / 3600));
    else
        buffer_printf(out, "%.0f days", floor(seconds / 86400));
}

void text_add_load(struct buffer *out, double load)
{
    if (load >= 0 && load < 1e6)
        buffer_printf(out, "%.0f %%", load * 100);
    else
        buffer_append(out, STR("?"));
}

void terminal_look(struct terminal *terminal)
{
    const char *no_color = getenv("NO_COLOR"), *kind = getenv("TERM");
    struct winsize size = {.ws_col = 0};
    bool is_terminal = isatty(STDOUT_FILENO);
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    terminal->columns = !is_terminal ? SIZE_MAX : size.ws_col > 0 ? size.ws_col : 80;
    terminal->rows = size.ws_row > 0 ? size.ws_row : 24;
    terminal->colours = is_terminal && (no_color == NULL || no_color[0] == '\0') && (kind == NULL || strcmp(kind, "dumb") != 0);
}

/* Appends the escape sequence of a colour (COLOUR_NONE: back to the default), if the terminal takes colours. */
static void add_colour(const struct terminal *terminal, struct buffer *out, enum colour colour)
{
    static const char *const codes[] = {
        [COLOUR_NONE] = "0", [COLOUR_GREEN] = "32", [COLOUR_YELLOW] = "33",
        [COLOUR_RED] = "31", [COLOUR_FAINT] = "2",  [COLOUR_BOLD] = "1",
    };
    if (terminal->colours)
        buffer_printf(out, "\x1b[%sm", codes[colour]);
}

size_t terminal_show(const struct terminal *terminal, struct buffer *out, struct str text, size_t room, enum colour colour)
{
    if (colour != COLOUR_NONE)
        add_colour(terminal, out, colour);
    size_t columns = text_show(out, text, room);
    if (colour != COLOUR_NONE)
        add_colour(terminal, out, COLOUR_NONE);
    return columns;
}

enum colour status_colour(struct str status)
{
    static const struct {
        struct str status;
        enum colour colour;
    } colours[] = {
        {{"healthy", 7}, COLOUR_GREEN},  {{"ok", 2}, COLOUR_GREEN},        {{"available", 9}, COLOUR_GREEN},
        {{"up", 2}, COLOUR_GREEN},       {{"degraded", 8}, COLOUR_YELLOW}, {{"draining", 8}, COLOUR_YELLOW},
        {{"warning", 7}, COLOUR_YELLOW},
    };
    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
        if (str_eq(colours[i].status, status))
            return colours[i].colour;
    return COLOUR_RED;
}

bool print_buffer(struct buffer *text)
{
    bool written = fwrite(text->ptr != NULL ? text->ptr : "", 1, text->len, stdout) == text->len && fflush(stdout) == 0;
    text->len = 0;
    return written;
}

struct cell {
    size_t at, len; /* where its text is in the table's texts */
    size_t columns;
    enum colour colour;
};

void table_init(struct table *table, const struct terminal *terminal, const struct column *columns, size_t count)
{
    *table = (struct table){.terminal = terminal, .columns = columns, .count = count};
    for (size_t i = 0; i < count; i++)
        table->widths[i] = strlen(columns[i].title);
}

void table_fini(struct table *table)
{
    free(table->cells);
    buffer_fini(&table->texts);
}

void table_add(struct table *table, struct str text, enum colour colour)
{
    if (table->cell_count == table->cell_room) {
        table->cell_room = table->cell_room > 0 ? table->cell_room * 2 : 64;
        table->cells = realloc(table->cells, table->cell_room * sizeof(*table->cells));
        if (table->cells == NULL)
            abort();
    }
    struct cell *cell = &table->cells[table->cell_count];
    size_t column = table->cell_count++ % table->count;
    cell->at = table->texts.len;
    cell->columns = text_show(&table->texts, text, table->terminal->columns);
    cell->len = table->texts.len - cell->at;
    cell->colour = colour;
    if (cell->columns > table->widths[column])
        table->widths[column] = cell->columns;
}

/* Shrinks the widest column that may shrink, again and again, until all fit the terminal. Returns how many columns fit. */
static size_t fit(const struct table *table, size_t widths[TABLE_COLUMNS_MAX])
{
    size_t total = 0, shown = table->count;
    for (size_t i = 0; i < table->count; i++)
        total += (widths[i] = table->widths[i]) + (i > 0 ? GAP : 0);
    while (total > table->terminal->columns) {
        size_t widest = table->count;
        for (size_t i = 0; i < table->count; i++)
            if (table->columns[i].may_shrink && widths[i] > SHRINK_LEAST && (widest == table->count || widths[i] > widths[widest]))
                widest = i;
        if (widest == table->count)
            break;
        widths[widest]--;
        total--;
    }
    for (; total > table->terminal->columns && shown > 1; shown--)
        total -= widths[shown - 1] + GAP;
    if (widths[0] > table->terminal->columns)
        widths[0] = table->terminal->columns;
    return shown;
}

/* Appends a cell to a row, padded with blanks to its width, but with no blanks at the end of the row. */
static void print_cell(const struct table *table, struct buffer *out, size_t column, bool is_last, size_t width, struct str text,
                       size_t columns, enum colour colour)
{
    size_t taken = columns < width ? columns : width, blanks = width - taken;
    if (column > 0)
        buffer_append(out, STR("  "));
    if (table->columns[column].right)
        for (; blanks > 0; blanks--)
            buffer_append(out, STR(" "));
    taken = terminal_show(table->terminal, out, text, width, colour);
    if (!is_last && !table->columns[column].right)
        for (blanks = width - taken; blanks > 0; blanks--)
            buffer_append(out, STR(" "));
}

void table_print(struct table *table, struct buffer *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0}, shown = fit(table, widths);
    for (size_t i = 0; !table->begun && i < shown; i++) {
        struct str title = str_from(table->columns[i].title);
        print_cell(table, out, i, i + 1 == shown, widths[i], title, title.len, COLOUR_BOLD);
    }
    if (!table->begun)
        buffer_append(out, STR("\n"));
    table->begun = true;
    for (size_t i = 0; i < table->cell_count; i++) {
        const struct cell *cell = &table->cells[i];
        size_t column = i % table->count;
        struct str text = {table->texts.ptr + cell->at, cell->len};
        if (column < shown)
            print_cell(table, out, column, column + 1 == shown, widths[column], text, cell->columns, cell->colour);
        if (column + 1 == table->count)
            buffer_append(out, STR("\n"));
    }
    table->cell_count = table->texts.len = 0;
}
