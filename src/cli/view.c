#include "cli/view.h"

#include "cli/client.h"
#include "cli/text.h"

#include <math.h>
#include <time.h>

#define NAME_COLUMNS 20
#define INDENT_MAX 40 /* columns; deeper members are not indented further */

/* Where a view is written. */
struct view {
    struct terminal terminal;
    struct buffer out;
    double now;                  /* in seconds since 1970; NAN: unknown */
    const char *const *left_out; /* members of the object itself, up to a NULL */
};

static void add_blanks(struct buffer *out, size_t count)
{
    for (; count > 0; count--)
        buffer_append(out, STR(" "));
}

double view_time(struct str text)
{
    struct tm time = {.tm_year = 0};
    const char *end = text.ptr != NULL ? strptime(text.ptr, "%Y-%m-%dT%H:%M:%S", &time) : NULL;
    return end != NULL && (*end == '.' || *end == 'Z') ? (double)timegm(&time) : NAN;
}

/* Appends a value that is no object or array, in one line. */
static void add_scalar(struct view *view, const char *name, const cJSON *value)
{
    struct buffer *out = &view->out;
    if (cJSON_IsString(value)) {
        struct str text = str_from(value->valuestring);
        bool is_status = strcmp(name, "status") == 0 || strcmp(name, "state") == 0;
        terminal_show(&view->terminal, out, text.len > 0 ? text : STR("\"\""), text.len + 2,
                      is_status ? status_colour(text) : COLOUR_NONE);
        double moment = view_time(text);
        if (!isnan(moment) && !isnan(view->now)) {
            buffer_append(out, moment > view->now + 1 ? STR(" (in ") : STR(" ("));
            text_add_duration(out, fmax(moment > view->now + 1 ? moment - view->now : view->now - moment, 0));
            buffer_append(out, moment > view->now + 1 ? STR(")") : STR(" ago)"));
        }
    } else if (cJSON_IsNumber(value) && strcmp(name, "current_load") == 0) {
        text_add_load(out, value->valuedouble);
    } else if (cJSON_IsNumber(value)) {
        buffer_printf(out, "%.15g", value->valuedouble);
    } else if (cJSON_IsBool(value)) {
        buffer_append(out, cJSON_IsTrue(value) ? STR("yes") : STR("no"));
    } else {
        buffer_append(out, STR("-"));
    }
}

static bool is_nested(const cJSON *value)
{
    return cJSON_IsObject(value) || cJSON_IsArray(value);
}

static bool has_nested(const cJSON *array)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, array) if (is_nested(item)) return true;
    return false;
}

static bool is_left_out(const struct view *view, const char *name)
{
    for (const char *const *each = view->left_out; *each != NULL; each++)
        if (strcmp(*each, name) == 0)
            return true;
    return false;
}

static void add_members(struct view *view, const cJSON *object, size_t indent);

/* Appends an array after its name: in one line if it has plain values only, else one item a line. */
static void add_array(struct view *view, const char *name, const cJSON *array, size_t indent)
{
    bool in_a_line = !has_nested(array);
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        if (in_a_line) {
            buffer_append(&view->out, item != array->child ? STR(", ") : STR(""));
            add_scalar(view, name, item);
            continue;
        }
        buffer_append(&view->out, STR("\n"));
        add_blanks(&view->out, indent);
        buffer_append(&view->out, STR("-"));
        if (is_nested(item)) {
            buffer_append(&view->out, STR("\n"));
            add_members(view, item, indent + 2);
            view->out.len--; /* the caller ends the line */
        } else {
            buffer_append(&view->out, STR(" "));
            add_scalar(view, name, item);
        }
    }
}

/* Appends the members of an object or array: a line for each, more for nested ones. The JSON parser bounds the recursion. */
static void add_members(struct view *view, const cJSON *object, size_t indent)
{
    const cJSON *item;
    indent = indent < INDENT_MAX ? indent : INDENT_MAX;
    if (object->child == NULL) {
        add_blanks(&view->out, indent);
        buffer_append(&view->out, STR("-\n"));
    }
    cJSON_ArrayForEach(item, object)
    {
        const char *name = item->string != NULL ? item->string : "";
        if (indent == 2 && is_left_out(view, name))
            continue;
        add_blanks(&view->out, indent);
        size_t columns = terminal_show(&view->terminal, &view->out, str_from(name), strlen(name), COLOUR_FAINT);
        if (cJSON_IsObject(item) && item->child != NULL) {
            buffer_append(&view->out, STR("\n"));
            add_members(view, item, indent + 2);
            continue;
        }
        if (!has_nested(item))
            add_blanks(&view->out, (columns < NAME_COLUMNS ? NAME_COLUMNS - columns : 0) + 1);
        if (cJSON_IsArray(item) && item->child != NULL)
            add_array(view, name, item, indent + 2);
        else
            add_scalar(view, name, item);
        buffer_append(&view->out, STR("\n"));
    }
}

void view_object(struct buffer *out, struct str title, const cJSON *object, double now, const char *const *left_out)
{
    struct view view = {.now = now, .left_out = left_out};
    terminal_look(&view.terminal);
    terminal_show(&view.terminal, &view.out, title, view.terminal.columns, COLOUR_BOLD);
    buffer_append(&view.out, STR("\n"));
    add_members(&view, object, 2);
    buffer_append(out, buffer_str(&view.out));
    buffer_fini(&view.out);
}
