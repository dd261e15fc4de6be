/*
 * Two other parsers read each head that is let pass: libh2o's, which gets it afterwards, and llhttp, which is another program's.
 * Where they take it, too, they must find the same end and the same body.
 */
#include "http/head.h"
#include "must.h"

#include <llhttp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 100
#define WHOLE_MAX 100

/* picohttpparser, as libh2o exports it. */
struct phr_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};
int phr_parse_request(const char *bytes, size_t len, const char **method, size_t *method_len, const char **path, size_t *path_len,
                      int *minor_version, struct phr_header *headers, size_t *count, size_t last_len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether libh2o finds a body; its result otherwise. */
static int parse_as_libh2o(const char *bytes, size_t size, bool *has_body, bool *expects)
{
    struct phr_header headers[HEADERS_MAX];
    const char *method, *path;
    size_t method_len, path_len, count = HEADERS_MAX;
    int minor, result = phr_parse_request(bytes, size, &method, &method_len, &path, &path_len, &minor, headers, &count, 0);
    *has_body = *expects = false;
    for (size_t i = 0; result > 0 && i < count; i++) {
        struct str name = {headers[i].name, headers[i].name_len};
        *has_body |= str_eq_nocase(name, STR("content-length")) || str_eq_nocase(name, STR("transfer-encoding"));
        *expects |= str_eq_nocase(name, STR("expect"));
    }
    return result;
}

static int on_headers_complete(llhttp_t *parser)
{
    *(bool *)parser->data = true;
    return HPE_PAUSED;
}

/* What llhttp takes must have the same body for it. */
static void check_by_llhttp(const char *bytes, const struct head *head)
{
    llhttp_settings_t settings;
    llhttp_t parser;
    bool whole = false;
    llhttp_settings_init(&settings);
    settings.on_headers_complete = on_headers_complete;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &whole;
    (void)llhttp_execute(&parser, bytes, head->size);
    if (!whole)
        return;
    must(((parser.flags & F_CHUNKED) != 0) == (head->body == HEAD_CHUNKED));
    must(head->body != HEAD_LENGTH || parser.content_length == head->length);
    must(head->body == HEAD_LENGTH || parser.content_length == 0);
    must(parser.http_major == 1 && parser.http_minor <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size + 1), *original = malloc(size + 1);
    struct head head;
    bool has_body, expects;
    memcpy(bytes, data, size);
    memcpy(original, data, size);
    size_t end = head_find_end((struct str){bytes, size}, 0), found = 0;
    int result = parse_as_libh2o(bytes, size, &has_body, &expects);
    must(result <= 0 || (size_t)result == end);
    for (size_t cut = 0; cut <= size && found == 0 && size < 2000; cut++)
        found = head_find_end((struct str){bytes, cut}, cut > 3 ? cut - 3 : 0);
    must(size >= 2000 || found == end);
    if (end > 0) {
        head_read(bytes, end, WHOLE_MAX, &head);
        must(head.size == end && (head.err == ERR_BAD_REQUEST) == (head.why != NULL));
        must(result != -2 || head.err != ERR_NONE); /* it waits for more of a version that is none */
        must(parse_as_libh2o(bytes, end, &has_body, &expects) == result || result <= 0);
        must(!head.hidden || (!has_body && !expects));
        must(head.hidden || (head.err == ERR_NONE && head.length <= WHOLE_MAX && head.body != HEAD_CHUNKED && !expects));
        if (result > 0 && head.err == ERR_NONE && head.odd == NULL)
            check_by_llhttp(original, &head);
    }
    free(bytes);
    free(original);
    return 0;
}
