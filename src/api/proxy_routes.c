/*
 * The paths that lead to services: /service/{service}/… and /api/service/{service}/…, and the catalogue's routes.
 */
#include "api/api.h"
#include "api/proxy.h"
#include "api/proxy_headers.h"
#include "http/reply.h"
#include "model/catalogue.h"
#include "model/id.h"

#include <stdio.h>
#include <stdlib.h>

/* Where a row leads that was made for a route of the catalogue. It is the row's `data`. */
struct destination {
    struct str service;
    struct catalogue_route route;
};

struct str proxy_service_of(const struct request *request)
{
    const struct route *route = request->route;
    if (route == NULL || route->handler != api_service)
        return (struct str){NULL, 0};
    if (route->data != NULL)
        return ((const struct destination *)route->data)->service;
    struct str name = request_parameter(request, "service");
    return name.ptr != NULL ? name : STR("");
}

/* Whether a method may be passed on: any token but CONNECT, which opens a tunnel, and TRACE, which shows what proxies add. */
static bool may_pass(struct str method)
{
    return method.len > 0 && method.len <= 32 && request_is_made_of(method, "-") && !str_eq_nocase(method, STR("CONNECT")) &&
           !str_eq_nocase(method, STR("TRACE"));
}

bool proxy_check_request(struct request *request)
{
    struct request_field fields[REQUEST_FIELDS_MAX];
    struct proxy_connection connection = {.count = 0};
    size_t hops = 0, count = request_fields(request, fields);
    const char *why = proxy_check_path(request->path, request->query);
    for (size_t i = 0; i < count; i++) {
        if (str_eq_nocase(fields[i].name, STR("connection")) && !proxy_add_connection(&connection, fields[i].value))
            why = "The Connection header has too many lines.";
        if (str_eq_nocase(fields[i].name, STR("via")))
            hops += proxy_count_hops(fields[i].value);
    }
    if (why != NULL)
        reply_error(request, ERR_BAD_REQUEST, why, NULL);
    else if (hops >= PROXY_HOPS_MAX)
        reply_error(request, ERR_LOOP, NULL, NULL);
    else if (!may_pass(request_method(request)))
        reply_error(request, ERR_METHOD, "This method is not passed on.", NULL);
    else
        return true;
    return false;
}

/* Returns the request's path without `rest` and the slash before it. */
static struct str prefix_of(const struct request *request, struct str rest)
{
    return (struct str){request->path.ptr, request->path.len - (rest.ptr != NULL ? rest.len + 1 : 0)};
}

static void pass_request(struct request *request)
{
    struct proxy_order *order = proxy_order_new(request);
    const struct destination *destination = request->route->data;
    order->services = destination != NULL ? destination->service : catalogue_name(request_parameter(request, "service"));
    order->target.rest = request_parameter(request, "path");
    order->target.to = destination != NULL ? destination->route.to : STR("");
    order->target.query = request->query;
    order->prefix = prefix_of(request, order->target.rest);
    order->session = request_header(request, "x-rma-session");
    proxy_pass(request, order);
}

void api_service(struct request *request)
{
    if (request->route->data == NULL && !api_check_id(request, "service"))
        return;
    if (!proxy_check_request(request))
        return;
    proxy_know_caller(request, pass_request);
}

/* -- the table ----------------------------------------------------------------------------------------------------------------- */

static char *make_path(struct str from, const char *end)
{
    size_t size = from.len + strlen(end) + 1;
    char *path = malloc(size);
    if (path == NULL)
        abort();
    snprintf(path, size, "%.*s%s", STR_PRINTF(from), end);
    return path;
}

/* Whether the path is one of the coordinator's own, whatever the method. */
static bool is_own(const struct route *own, struct str path)
{
    struct route_match match;
    enum err err = route_find(own, STR("GET"), path, &match);
    return err == ERR_METHOD || (err == ERR_NONE && match.route->handler != api_service);
}

/* Whether the paths of all services begin with `path`. */
static bool hides_all(const struct route *own, struct str path)
{
    for (; own->path != NULL; own++)
        if (own->handler == api_service && strncmp(own->path, path.ptr, path.len) == 0 && own->path[path.len] == '/')
            return true;
    return false;
}

/* Returns the other service of the catalogue that the route's path belongs to already; absent: there is none. */
static struct str other_of(const struct route *own, const struct destination *destination)
{
    struct route_match match;
    const struct catalogue_service *other = NULL;
    if (route_find(own, STR("GET"), destination->route.from, &match) == ERR_NONE && match.route->handler == api_service)
        other = catalogue_find(catalogue_name(match.parameters[0].value));
    return other != NULL && !str_eq(other->name, destination->service) ? other->name : (struct str){NULL, 0};
}

/* Appends what is wrong with a route, if anything is. */
static void check_route(const struct route *own, const struct destination *destination, struct buffer *faults)
{
    struct str from = destination->route.from, other = other_of(own, destination);
    if (is_own(own, from))
        buffer_printf(faults, "the catalogue's route %.*s is a path of the coordinator itself\n", STR_PRINTF(from));
    else if (hides_all(own, from))
        buffer_printf(faults, "the catalogue's route %.*s of %.*s would hide the paths of all services\n", STR_PRINTF(from),
                      STR_PRINTF(destination->service));
    else if (other.ptr != NULL)
        buffer_printf(faults, "the catalogue's route %.*s of %.*s is a path of the service %.*s\n", STR_PRINTF(from),
                      STR_PRINTF(destination->service), STR_PRINTF(other));
}

/* Orders longer paths first, since route_find prefers the first of rows that match equally well. */
static int by_length(const void *a, const void *b)
{
    const struct destination *x = a, *y = b;
    return (x->route.from.len < y->route.from.len) - (x->route.from.len > y->route.from.len);
}

/* Returns the catalogue's routes, checked, in the order of their rows. */
static const struct destination *gather(const struct route *own, struct buffer *faults, size_t *count)
{
    static struct destination all[CATALOGUE_ALL_ROUTES_MAX];
    *count = 0;
    for (size_t i = 0; i < catalogue_count; i++)
        for (size_t j = 0; j < catalogue[i].passing.route_count; j++) {
            all[*count] = (struct destination){catalogue[i].name, catalogue[i].passing.routes[j]};
            check_route(own, &all[(*count)++], faults);
        }
    qsort(all, *count, sizeof(*all), by_length);
    return all;
}

const struct route *proxy_make_routes(const struct route *own, struct buffer *faults)
{
    size_t own_count = 0, count, at = 0;
    while (own[own_count].path != NULL)
        own_count++;
    const struct destination *destinations = gather(own, faults, &count);
    struct route *rows = calloc(own_count + 2 * count + 1, sizeof(*rows));
    if (rows == NULL)
        abort();
    const struct route *pattern = NULL;
    for (size_t i = 0; i < own_count; i++) {
        if (own[i].handler == api_service)
            pattern = &own[i];
        else
            rows[at++] = own[i];
    }
    for (size_t i = 0; i < count && pattern != NULL; i++) {
        for (int with_rest = 0; with_rest < 2; with_rest++) {
            rows[at] = *pattern;
            rows[at].path = make_path(destinations[i].route.from, with_rest ? "/{path...}" : "");
            rows[at++].data = &destinations[i];
        }
    }
    for (size_t i = 0; i < own_count; i++)
        if (own[i].handler == api_service)
            rows[at++] = own[i];
    return rows;
}
