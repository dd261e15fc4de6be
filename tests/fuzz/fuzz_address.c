/*
 * Fuzzes the parsing of REDIS_URL: any text is refused with a reason, or becomes an address that can be shown.
 */
#include <stdint.h>
#include <stdlib.h>

#include "redis/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct address address;
    char room[ADDRESS_PLACE_MAX];
    const char *why = NULL;
    enum err err = address_parse((struct str){(const char *)data, size}, &address, &why);
    if (err == ERR_NONE ? address_place(&address, room)[0] == '\0' : why == NULL)
        abort();
    return 0;
}
