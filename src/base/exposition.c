#include "base/exposition.h"

#include <stdio.h>

void exposition_family(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_label(struct buffer *out, const char *name, struct str value, bool first)
{
    buffer_append(out, first ? STR("{") : STR(","));
    buffer_append(out, str_from(name));
    buffer_append(out, STR("=\""));
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\n')
            buffer_append(out, STR("\\n"));
        else if (value.ptr[i] == '\\' || value.ptr[i] == '"')
            buffer_append(out, (struct str){(char[]){'\\', value.ptr[i]}, 2});
        else
            buffer_append(out, (struct str){&value.ptr[i], 1});
    }
    buffer_append(out, STR("\""));
}

/* Appends the labels, and one more if its name is not NULL. */
static void write_labels(struct buffer *out, const struct label *labels, const char *more, struct str more_value)
{
    size_t count = 0;
    for (; labels != NULL && labels[count].name != NULL; count++)
        write_label(out, labels[count].name, labels[count].value, count == 0);
    if (more != NULL)
        write_label(out, more, more_value, count++ == 0);
    if (count > 0)
        buffer_append(out, STR("}"));
}

/* Appends a whole number exactly, any other number with 12 digits. */
static void write_value(struct buffer *out, double value)
{
    bool whole = value >= -9e15 && value <= 9e15 && value == (double)(int64_t)value;
    buffer_printf(out, whole ? " %.0f\n" : " %.12g\n", value);
}

void exposition_sample(struct buffer *out, const char *name, const struct label *labels, double value)
{
    buffer_append(out, str_from(name));
    write_labels(out, labels, NULL, STR(""));
    write_value(out, value);
}

void exposition_histogram(struct buffer *out, const char *name, const struct label *labels, const struct histogram *histogram,
                          const int64_t bounds[HISTOGRAM_BUCKETS], double per_second)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        char bound[32] = "+Inf";
        if (i < HISTOGRAM_BUCKETS)
            snprintf(bound, sizeof(bound), "%.12g", (double)bounds[i] / per_second);
        count += metric_read(&histogram->buckets[i]);
        buffer_printf(out, "%s_bucket", name);
        write_labels(out, labels, "le", str_from(bound));
        write_value(out, (double)count);
    }
    buffer_printf(out, "%s_sum", name);
    write_labels(out, labels, NULL, STR(""));
    write_value(out, (double)metric_read(&histogram->sum) / per_second);
    buffer_printf(out, "%s_count", name);
    write_labels(out, labels, NULL, STR(""));
    write_value(out, (double)count);
}

void exposition_single(struct buffer *out, const char *name, const char *type, const char *help, double value)
{
    exposition_family(out, name, type, help);
    exposition_sample(out, name, NULL, value);
}
