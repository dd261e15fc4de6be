/* rejects: no member named 'ip_address' */
#include "model/record.h"

void check(const struct record *record);

void check(const struct record *record)
{
    if (record->ip_address.len > 0)
        __builtin_trap();
}
