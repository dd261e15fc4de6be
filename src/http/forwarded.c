#include "http/forwarded.h"

#include "base/inet.h"

/* Cuts the last element off *line and returns it; absent if there is none. It skips empty ones (RFC 9110, section 5.6.1). */
static struct str cut_last(struct str *line)
{
    while (line->len > 0) {
        const char *comma = memrchr(line->ptr, ',', line->len);
        size_t before = comma != NULL ? (size_t)(comma - line->ptr) + 1 : 0;
        struct str element = str_trim((struct str){line->ptr + before, line->len - before});
        line->len = before > 0 ? before - 1 : 0;
        if (element.len > 0)
            return element;
    }
    return (struct str){NULL, 0};
}

struct str forwarded_address(struct str text)
{
    struct str address = text, rest = text;
    if (text.len > 0 && text.ptr[0] == '[') {
        rest = (struct str){text.ptr + 1, text.len - 1};
        address = str_cut(&rest, ']');
        if (rest.ptr == NULL || (rest.len > 0 && rest.ptr[0] != ':'))
            return (struct str){NULL, 0};
    } else {
        struct str before = str_cut(&rest, ':');
        if (rest.ptr != NULL && (rest.len == 0 || memchr(rest.ptr, ':', rest.len) == NULL))
            address = before;
    }
    return inet_is_address(address) ? address : (struct str){NULL, 0};
}

struct str forwarded_client(const struct str *lines, size_t count, int proxies)
{
    struct str client = {NULL, 0};
    int taken = 0;
    for (size_t i = count; i > 0 && taken < proxies; i--) {
        struct str line = lines[i - 1], element;
        while (taken < proxies && (element = cut_last(&line)).ptr != NULL) {
            struct str address = forwarded_address(element);
            if (address.ptr != NULL)
                client = address;
            taken++;
        }
    }
    return client;
}

struct str forwarded_first(const struct str *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (struct str rest = lines[i]; rest.len > 0;) {
            struct str element = str_trim(str_cut(&rest, ','));
            if (element.len > 0)
                return element;
        }
    return (struct str){NULL, 0};
}

int forwarded_port(struct str text)
{
    int port = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || i >= 5)
            return 0;
        port = port * 10 + (text.ptr[i] - '0');
    }
    return port <= 65535 ? port : 0;
}
