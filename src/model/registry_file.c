/*
 * A file may be large, so it is never parsed as a whole: the strict scanner checks its text once, then each record is parsed alone.
 */
#include "model/registry_file.h"

#include "model/id.h"
#include "model/json.h"
#include "model/line.h"

#include <stdio.h>
#include <stdlib.h>

/* A check of a file, while it goes on. */
struct checking {
    const char *path;
    struct buffer *faults;
    size_t fault_count;
    struct line_counter lines;
    struct str *ids; /* of all records, in the file's order */
    size_t id_count, id_room;
};

/* Adds a line for a fault, unless enough faults are shown already. */
static void add_fault(struct checking *checking, const char *place, struct str id, const char *field, const char *message)
{
    if (checking->fault_count++ >= REGISTRY_FAULTS_SHOWN)
        return;
    buffer_append(checking->faults, str_from(checking->path));
    buffer_printf(checking->faults, ":%zu: ", line_of(&checking->lines, place));
    for (size_t i = 0; i < id.len && i < ID_MAX; i++) /* it may have any characters */
        buffer_append(checking->faults, id.ptr[i] > ' ' && id.ptr[i] <= '~' ? (struct str){id.ptr + i, 1} : STR("?"));
    buffer_printf(checking->faults, ": %s%s%s\n", field, field[0] != '\0' ? " " : "", message);
}

/* Returns the place of a field like "assigned_containers[2]" in a record; the place of its id, if the record lacks the member. */
static const char *place_of(const struct json_item *item, const char *field)
{
    char member[sizeof(((struct fault *)NULL)->field)];
    snprintf(member, sizeof(member), "%.*s", (int)strcspn(field, "["), field);
    struct str text = member[0] != '\0' ? json_member_text(item->value, member) : (struct str){NULL, 0};
    return text.ptr != NULL ? text.ptr : item->name.ptr;
}

static void check_record(struct checking *checking, const struct json_item *item, size_t *unknown)
{
    struct record record;
    struct faults faults = FAULTS_INIT;
    record_parse(item->name, item->value, &record, unknown, &faults);
    for (size_t i = 0; i < faults.count; i++) {
        const struct fault *fault = &faults.items[i];
        bool shown = checking->fault_count < REGISTRY_FAULTS_SHOWN;
        add_fault(checking, shown ? place_of(item, fault->field) : NULL, item->name, fault->field, fault->message);
    }
    faults_fini(&faults);
    record_fini(&record);

    if (checking->id_count == checking->id_room) {
        checking->id_room = checking->id_room > 0 ? 2 * checking->id_room : 1024;
        struct str *ids = realloc(checking->ids, checking->id_room * sizeof(*ids));
        if (ids == NULL)
            abort();
        checking->ids = ids;
    }
    checking->ids[checking->id_count++] = item->name;
}

/* Orders ids by their text, then by their place in the file. */
static int compare_ids(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    int order = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
    if (order == 0 && x->len != y->len)
        order = x->len < y->len ? -1 : 1;
    if (order == 0)
        order = (x->ptr > y->ptr) - (x->ptr < y->ptr);
    return order;
}

/* Finds repeated ids. They are compared as they are in the text: valid ids need no escape, and others are refused anyway. */
static void check_duplicates(struct checking *checking)
{
    if (checking->id_count > 0)
        qsort(checking->ids, checking->id_count, sizeof(*checking->ids), compare_ids);
    for (size_t i = 1; i < checking->id_count; i++) {
        struct str id = checking->ids[i];
        if (str_eq(checking->ids[i - 1], id))
            add_fault(checking, id.ptr, id, "", "the id stands in the file more than once");
    }
}

enum err registry_file_check(const char *path, struct str text, struct registry_file *file, struct buffer *faults)
{
    struct checking checking = {.path = path, .faults = faults, .lines = line_counter_begin(text)};
    const char *place, *why;
    *file = (struct registry_file){.text = text};
    if (json_find_fault(text, &place, &why)) {
        line_add_syntax_fault(&checking.lines, path, place, why, faults);
        return ERR_INVALID;
    }
    struct json_items items = json_items(text);
    struct json_item item;
    file->at = items.at;
    while (json_next(&items, &item))
        check_record(&checking, &item, &file->unknown_containers);
    check_duplicates(&checking);
    file->count = checking.id_count;
    free(checking.ids);
    if (checking.fault_count > REGISTRY_FAULTS_SHOWN) {
        buffer_append(faults, str_from(path));
        buffer_printf(faults, ": and %zu more\n", checking.fault_count - REGISTRY_FAULTS_SHOWN);
    }
    return checking.fault_count == 0 ? ERR_NONE : ERR_INVALID;
}

bool registry_file_next(struct registry_file *file, struct record *record)
{
    struct json_items items = {file->at, file->text.ptr + file->text.len, true};
    struct json_item item;
    struct faults faults = FAULTS_INIT;
    size_t unknown = 0;
    if (!json_next(&items, &item))
        return false;
    file->at = items.at;
    record_parse(item.name, item.value, record, &unknown, &faults);
    faults_fini(&faults); /* there are none: the file has been checked */
    return true;
}
