/*
 * A job that is taken has a type in one line and data that are JSON, and any worker can be held against it: one whose
 * capabilities and services are what the same stranger has sent.
 */
#include "model/broadcast.h"
#include "model/json.h"
#include "model/submission.h"
#include "must.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_job(const struct broadcast *job)
{
    must(job->type.len > 0 && job->type.len <= TASK_TYPE_MAX);
    for (size_t i = 0; i < job->type.len; i++)
        must((unsigned char)job->type.ptr[i] >= ' ' && job->type.ptr[i] != 0x7f);
    must(job->data.len > 0 && job->data.len <= TASK_PAYLOAD_MAX);
    struct worker worker = {.id = STR("w"), .online = STR("healthy")};
    worker.fields[WORKER_tier] = STR("2");
    worker.fields[WORKER_capabilities] = worker.fields[WORKER_services] = worker.fields[WORKER_containers] = job->data;
    bool reached = broadcast_reaches(job, &worker);
    must(job->capability.len > 0 || reached);
    worker.online = (struct str){NULL, 0};
    must(!broadcast_reaches(job, &worker));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct broadcast job;
    struct faults faults = FAULTS_INIT;
    const char *why = NULL;
    enum err err = broadcast_parse((struct str){(const char *)data, size}, &job, &faults, &why);
    must((err == ERR_INVALID) == (faults.count > 0));
    must((err == ERR_BAD_REQUEST || err == ERR_TOO_LARGE) == (why != NULL));
    if (err == ERR_NONE) {
        check_job(&job);
        broadcast_fini(&job);
    }
    faults_fini(&faults);
    return 0;
}
