#include "http/route.h"

#include "base/metrics.h"

#include <assert.h>
#include <stdio.h>

/* How exactly a row matches a path. A more exact row hides the others. */
enum match { MATCH_NONE, MATCH_REST, MATCH_PARAMETER, MATCH_LITERAL };

/*
 * Reads a parameter: its name from the pattern at `open`, a '{', and its value from the path at `from`. Returns the first byte
 * after the value.
 */
static const char *take_parameter(struct route_parameter *parameter, const char *open, const char *from, const char *end)
{
    struct str name = {open + 1, (size_t)(strchr(open, '}') - open) - 1};
    bool is_rest = name.len > 3 && memcmp(name.ptr + name.len - 3, "...", 3) == 0;
    const char *slash = is_rest || from == end ? NULL : memchr(from, '/', (size_t)(end - from));
    if (is_rest)
        name.len -= 3;
    const char *to = slash != NULL ? slash : end;
    *parameter = (struct route_parameter){name, {from, (size_t)(to - from)}, is_rest};
    return to;
}

static enum match match_path(const char *pattern, struct str path, struct route_parameter parameters[ROUTE_PARAMETERS_MAX])
{
    enum match match = MATCH_LITERAL;
    const char *at = path.ptr, *end = path.ptr + path.len;
    size_t count = 0;
    while (*pattern != '\0') {
        if (*pattern != '{') {
            if (at == end || *at++ != *pattern++)
                return MATCH_NONE;
            continue;
        }
        assert(count < ROUTE_PARAMETERS_MAX);
        struct route_parameter *parameter = &parameters[count++];
        at = take_parameter(parameter, pattern, at, end);
        if (parameter->value.len == 0 && !parameter->is_rest)
            return MATCH_NONE;
        match = parameter->is_rest ? MATCH_REST : MATCH_PARAMETER;
        pattern = strchr(pattern, '}') + 1;
    }
    if (at != end)
        return MATCH_NONE;
    if (count < ROUTE_PARAMETERS_MAX)
        parameters[count].name = (struct str){NULL, 0};
    return match;
}

/* Writes the names of the methods whose bits are set. */
static void write_allow(unsigned methods, char allow[ROUTE_ALLOW_SIZE])
{
    int len = 0;
    if ((methods & 1u << METHOD_GET) != 0)
        methods |= 1u << METHOD_HEAD;
    methods |= 1u << METHOD_OPTIONS;
    for (int method = 0; method < METHOD_OTHER; method++)
        if ((methods & 1u << method) != 0)
            len += snprintf(allow + len, (size_t)(ROUTE_ALLOW_SIZE - len), "%s%s", len > 0 ? ", " : "",
                            metrics_method_name((enum metrics_method)method));
    assert(len < ROUTE_ALLOW_SIZE);
}

enum err route_find(const struct route *routes, struct str method, struct str path, struct route_match *match)
{
    struct route_parameter parameters[ROUTE_PARAMETERS_MAX];
    enum match best = MATCH_NONE;
    unsigned methods = 0;
    if (str_eq(method, STR("HEAD")))
        method = STR("GET");
    match->route = NULL;
    for (const struct route *route = routes; route->path != NULL; route++) {
        enum match this = match_path(route->path, path, parameters);
        if (this == MATCH_NONE || this < best)
            continue;
        bool takes_method = str_eq(method, str_from(route->method)) || str_eq(STR(ROUTE_ANY), str_from(route->method));
        if (this > best) { /* less exact rows are hidden */
            best = this;
            methods = 0;
            match->route = NULL;
        }
        methods |= 1u << metrics_method_of(str_from(route->method));
        if (!takes_method || match->route != NULL)
            continue;
        match->route = route;
        memcpy(match->parameters, parameters, sizeof(parameters));
        if (best == MATCH_LITERAL)
            return ERR_NONE;
    }
    if (match->route != NULL)
        return ERR_NONE;
    if (methods == 0)
        return ERR_PATH_NOT_FOUND;
    write_allow(methods, match->allow);
    return ERR_METHOD;
}
