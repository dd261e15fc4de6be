/*
 * What proxies say of clients: the first byte is the number of them that are trusted, each line behind it one of a header.
 * Whatever it says, the client is an address that stands in it.
 */
#include "base/inet.h"
#include "http/forwarded.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str lines[FORWARDED_LINES_MAX];
    size_t count = 0;
    if (size == 0)
        return 0;
    struct str text = {(const char *)data + 1, size - 1}, rest = text;
    while (count < FORWARDED_LINES_MAX && rest.len > 0)
        lines[count++] = str_cut(&rest, '\n');
    struct str client = forwarded_client(lines, count, data[0] % 17);
    if (client.ptr != NULL && (!inet_is_address(client) || client.ptr < text.ptr || client.ptr + client.len > text.ptr + text.len))
        abort();
    struct str first = forwarded_first(lines, count);
    if (first.ptr != NULL && (first.len == 0 || memchr(first.ptr, ',', first.len) != NULL))
        abort();
    int port = forwarded_port(first);
    if (port < 0 || port > 65535)
        abort();
    return 0;
}
