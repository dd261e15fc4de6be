/*
 * Reads what is needed to choose a worker from a request for a model in OpenAI's form. The request itself is passed on as it
 * came.
 */
#ifndef MODEL_MODEL_REQUEST_H
#define MODEL_MODEL_REQUEST_H

#include "base/err.h"
#include "base/faults.h"
#include "model/model_name.h"

#define MODEL_SESSION_MAX 256 /* bytes of a session's name that are compared */

struct model_request {
    char model[MODEL_NAME_MAX]; /* its normal form */
    size_t model_len;
    char session[MODEL_SESSION_MAX]; /* keeps a conversation on its worker: prompt_cache_key, else user */
    size_t session_len;              /* 0: there is none */
};

/*
 * Reads a body, which may be any JSON object. ERR_BAD_REQUEST: it is not one; *why (static text) says so. ERR_INVALID: see
 * *faults.
 */
MUST_CHECK enum err model_request_read(struct str body, struct model_request *out, struct faults *faults, const char **why);

/* What the old paths for one completion take: POST /api/inference/llm and vision. The texts are JSON, and point into the body. */
struct completion_request {
    struct str model, prompt, max_tokens, temperature; /* with defaults for absent ones */
};

MUST_CHECK enum err completion_request_read(struct str body, struct completion_request *out, struct model_request *model,
                                            struct faults *faults, const char **why);

#endif
