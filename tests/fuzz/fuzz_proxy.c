/*
 * What is read of a request that is passed on: its path, its headers, the model that its body names. The input's lines are the
 * path, the query, a header's name and value, and the body is the rest.
 *
 * A head that is written has as many lines as it should: nothing in the input makes one more. A path that is taken has no ".."
 * segment once it is decoded.
 */
#include "api/proxy_headers.h"
#include "api/proxy_target.h"
#include "base/percent.h"
#include "model/model_request.h"
#include "must.h"

#include <stdlib.h>

static size_t count_lines(struct str text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    return lines;
}

static void check_path(struct str path, struct str query)
{
    char *room = malloc(path.len + 1);
    struct str decoded;
    if (room == NULL)
        abort();
    if (proxy_check_path(path, query) == NULL && percent_decode(path, false, room, path.len + 1, &decoded))
        while (decoded.ptr != NULL)
            must(!str_eq(str_cut(&decoded, '/'), STR("..")));
    free(room);
    struct buffer out = BUFFER_INIT;
    struct proxy_target target = {STR("/to"), path, query};
    proxy_write_target(&out, STR("/base"), &target);
    must(out.len == 8 + path.len + (path.ptr != NULL) + query.len + (query.ptr != NULL));
    buffer_fini(&out);
}

static void check_headers(struct str name, struct str value)
{
    struct request_field field = {name.ptr != NULL ? name : STR(""), value.ptr != NULL ? value : STR("")};
    struct proxy_connection connection = {.count = 0};
    struct proxy_trust trust = {true, true};
    must(proxy_add_connection(&connection, field.value));
    struct proxy_head head = {.authority = STR("w"),
                              .fields = &field,
                              .count = 1,
                              .connection = &connection,
                              .trust = &trust,
                              .address = STR("::1"),
                              .scheme = STR("http"),
                              .host = STR("h"),
                              .request_id = STR("i"),
                              .trace = STR("t")};
    struct buffer out = BUFFER_INIT, room = BUFFER_INIT;
    proxy_write_head(&out, &head);
    must(count_lines(buffer_str(&out)) <= 10);
    (void)proxy_comes_down(field.name, field.value, &connection, &trust);
    (void)proxy_count_hops(field.value);
    (void)proxy_is_page(field.value);
    (void)proxy_public_location(field.value, STR("w:1"), STR("/b"), STR("/t"), STR("/p"), &room);
    buffer_fini(&room);
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {size > 0 ? (const char *)data : "", size};
    struct str path = str_cut(&rest, '\n'), query = str_cut(&rest, '\n'), name = str_cut(&rest, '\n'), value = str_cut(&rest, '\n');
    check_path(path, query);
    check_headers(name, value);
    struct model_request model;
    struct completion_request completion;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = completion_request_read(rest, &completion, &model, &faults, &why);
    must(err == ERR_NONE || (err == ERR_INVALID && faults.count > 0) || (err == ERR_BAD_REQUEST && why != NULL));
    must(model.model_len <= MODEL_NAME_MAX && model.session_len <= MODEL_SESSION_MAX);
    faults_fini(&faults);
    return 0;
}
