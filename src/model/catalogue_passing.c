/*
 * The members of a service that say how requests are passed on to it.
 */
#include "base/ascii.h"
#include "model/catalogue_reading.h"

#define PREFIX_MAX 128
#define TIMEOUT_MAX_S 3600

static void read_bool(struct reading *reading, const struct member *member, bool *out)
{
    if (member->value == NULL)
        return;
    if (cJSON_IsBool(member->value))
        *out = cJSON_IsTrue(member->value);
    else
        reading_add_fault(reading, member->text.ptr, member->path, "must be true or false");
}

static void read_spread(struct reading *reading, const struct member *member, bool *random)
{
    if (member->value == NULL)
        return;
    struct str word = cJSON_IsString(member->value) ? str_from(member->value->valuestring) : STR("");
    if (!str_eq(word, STR("load")) && !str_eq(word, STR("random")))
        reading_add_fault(reading, member->text.ptr, member->path, "must be \"load\" or \"random\"");
    *random = str_eq(word, STR("random"));
}

static void read_timeouts(struct reading *reading, const struct member *member, struct catalogue_passing *out)
{
    struct members members = reading_members(reading, member);
    struct member timeout;
    struct str name;
    while (reading_next_member(&members, &timeout, &name)) {
        bool is_head = strcmp(timeout.value->string, "head") == 0;
        if (!is_head && strcmp(timeout.value->string, "silence") != 0)
            reading_add_fault(reading, name.ptr, timeout.path, "is unknown; there are head and silence");
        else if (reading_is_repeated(member->value, timeout.value))
            reading_add_fault(reading, name.ptr, timeout.path, "is given twice");
        else
            reading_take_number(reading, &timeout, 1, TIMEOUT_MAX_S, is_head ? &out->head_timeout_s : &out->silence_timeout_s);
    }
}

/* Whether it can be the beginning of a path, with segments that all programs read in the same way. */
static bool is_prefix(struct str text)
{
    static const char marks[] = "-_~!$&'()*+,;=:@.";
    bool is_dots = true; /* the present segment is empty, "." or ".." so far */
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool letter = ascii_is_alphanumeric(c);
        if (c == '/' ? i > 0 && is_dots : !letter && strchr(marks, c) == NULL)
            return false;
        is_dots = c == '/' || (is_dots && c == '.');
    }
    return text.len > 1 && text.len <= PREFIX_MAX && text.ptr[0] == '/' && !is_dots;
}

#define PREFIX_RULE "1 to 128 characters of segments that begin with a slash, of letters, digits and -_~!$&'()*+,;=:@."

/* Returns the service that has the prefix already; -1: none. *count: the routes read so far. */
static int find_prefix(const struct reading *reading, size_t index, struct str from, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i <= index; i++) {
        const struct catalogue_passing *passing = &reading->file->services[i].passing;
        *count += passing->route_count;
        for (size_t j = 0; j < passing->route_count; j++)
            if (str_eq(passing->routes[j].from, from))
                return (int)i;
    }
    return -1;
}

/* Reads a route: `from` is the member's name, `to` its value. */
static void read_route(struct reading *reading, const struct member *member, struct str name, size_t index)
{
    struct catalogue_passing *out = &reading->file->services[index].passing;
    struct catalogue_route route = {.from = str_from(member->value->string)};
    route.to = cJSON_IsString(member->value) ? str_from(member->value->valuestring) : STR("");
    bool is_root = str_eq(route.to, STR("/"));
    size_t count;
    int other = find_prefix(reading, index, route.from, &count);
    if (!is_prefix(route.from))
        reading_add_fault(reading, name.ptr, member->path, "must be a path: " PREFIX_RULE);
    else if (!is_root && !is_prefix(route.to))
        reading_add_fault(reading, member->text.ptr, member->path, "must lead to / or to a path: " PREFIX_RULE);
    else if (other >= 0)
        reading_add_fault(reading, name.ptr, member->path, "is a route of services[%d], too", other);
    else if (count == CATALOGUE_ALL_ROUTES_MAX || out->route_count == CATALOGUE_ROUTES_MAX)
        reading_add_fault(reading, name.ptr, member->path, "is one too many: a service has at most %d routes, all have at most %d",
                          CATALOGUE_ROUTES_MAX, CATALOGUE_ALL_ROUTES_MAX);
    else
        out->routes[out->route_count++] = is_root ? (struct catalogue_route){route.from, STR("")} : route;
}

static void read_routes(struct reading *reading, const struct member *member, size_t index)
{
    struct members members = reading_members(reading, member);
    struct member route;
    struct str name;
    while (reading_next_member(&members, &route, &name))
        read_route(reading, &route, name, index);
}

void catalogue_read_passing(struct reading *reading, const struct member found[PASSING_COUNT], size_t index)
{
    const struct catalogue_service *service = &reading->file->services[index];
    struct catalogue_passing *out = &reading->file->services[index].passing;
    out->head_timeout_s = out->silence_timeout_s = CATALOGUE_TIMEOUT_S;
    bool proxy = service->tier != TIER_DATA && (service->name.ptr == NULL || !catalogue_is_data_store(service->name));
    read_routes(reading, &found[PASSING_ROUTES], index);
    read_bool(reading, &found[PASSING_PROXY], &proxy);
    read_spread(reading, &found[PASSING_SPREAD], &out->random);
    read_bool(reading, &found[PASSING_IDEMPOTENT], &out->idempotent);
    read_bool(reading, &found[PASSING_AUTHORIZATION], &out->pass_authorization);
    read_bool(reading, &found[PASSING_LOADS], &out->loads_models);
    read_bool(reading, &found[PASSING_COOKIE], &out->set_cookie);
    read_timeouts(reading, &found[PASSING_TIMEOUTS], out);
    out->closed = !proxy;
}
