/*
 * What a stranger tells as its URL. What is read can be written down again and means the same then; it holds nothing that ends
 * a header or a request line.
 */
#include "must.h"
#include "upstream/target.h"

#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_visible(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        must(text.ptr[i] > ' ' && text.ptr[i] <= '~' && text.ptr[i] != '?' && text.ptr[i] != '#' && text.ptr[i] != '\\');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str url = {(const char *)data, size};
    struct target target, again;
    char room[TARGET_AUTHORITY_MAX], written[TARGET_URL_MAX + TARGET_AUTHORITY_MAX + 16];
    if (target_pin(&target, url))
        must(size >= 2 * TARGET_FINGERPRINT_SIZE);
    if (target_read(url, &target) != NULL)
        return 0;
    struct str authority = target_authority(&target, room);
    check_visible(authority);
    check_visible(target.base);
    must(target.port != 0 && target.host[0] != '\0' && strlen(target.host) <= TARGET_HOST_MAX);
    int len = snprintf(written, sizeof(written), "%s://%.*s%.*s", target.tls ? "https" : "http", STR_PRINTF(authority),
                       STR_PRINTF(target.base));
    must(target_read((struct str){written, (size_t)len}, &again) == NULL);
    must(again.tls == target.tls && again.port == target.port && again.is_address == target.is_address);
    must(strcmp(again.host, target.host) == 0 && str_eq(again.base, target.base));
    must(!target.is_address || memcmp(&again.address, &target.address, sizeof(target.address)) == 0);
    return 0;
}
