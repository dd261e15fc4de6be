#include "model/status.h"

const struct str worker_status_words[WORKER_STATUS_COUNT] = {
    [WORKER_HEALTHY] = {"healthy", 7},
    [WORKER_DEGRADED] = {"degraded", 8},
    [WORKER_DRAINING] = {"draining", 8},
    [WORKER_OFFLINE] = {"offline", 7},
};

bool worker_status_parse(struct str word, enum worker_status *out)
{
    for (int status = 0; status < WORKER_STATUS_COUNT; status++) {
        if (str_eq(word, worker_status_words[status])) {
            *out = (enum worker_status)status;
            return true;
        }
    }
    return false;
}

bool worker_status_parse_told(struct str word, enum worker_status *out)
{
    return worker_status_parse(str_eq(word, STR("online")) ? worker_status_words[WORKER_HEALTHY] : word, out);
}
