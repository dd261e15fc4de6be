/*
 * The reason of a drain must be bounded, one line of UTF-8 without controls, and stay as it is when it is cleaned again.
 */
#include "model/drain.h"
#include "model/json.h"
#include "must.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reason(struct str reason)
{
    struct buffer again = BUFFER_INIT;
    must(reason.len <= DRAIN_REASON_MAX && json_is_utf8(reason));
    for (size_t i = 0; i < reason.len; i++)
        must((unsigned char)reason.ptr[i] >= 0x20 && reason.ptr[i] != 0x7F);
    drain_clean(&again, reason);
    must(str_eq(buffer_str(&again), reason));
    buffer_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer reason = BUFFER_INIT;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = drain_parse((struct str){(const char *)data, size}, &reason, &faults, &why);
    must((err == ERR_INVALID) == (faults.count > 0) && (err == ERR_BAD_REQUEST) == (why != NULL));
    if (err == ERR_NONE)
        check_reason(buffer_str(&reason));
    faults_fini(&faults);
    buffer_fini(&reason);
    return 0;
}
