#include "model/line.h"

struct line_counter line_counter_begin(struct str text)
{
    return (struct line_counter){.text = text, .counted = text.ptr, .line = 1};
}

size_t line_of(struct line_counter *counter, const char *place)
{
    if (place < counter->counted)
        *counter = line_counter_begin(counter->text);
    for (; counter->counted < place; counter->counted++)
        counter->line += *counter->counted == '\n';
    return counter->line;
}

void line_add_syntax_fault(struct line_counter *counter, const char *path, const char *place, const char *why,
                           struct buffer *faults)
{
    const char *start = place;
    while (start > counter->text.ptr && start[-1] != '\n')
        start--;
    buffer_append(faults, str_from(path));
    buffer_printf(faults, ":%zu:%td: the file %s\n", line_of(counter, place), place - start + 1, why);
}
