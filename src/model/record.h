/*
 * One worker in the registry of the file-based coordinator: a JSON object, which is a member with the worker's id as its name.
 */
#ifndef MODEL_RECORD_H
#define MODEL_RECORD_H

#include "base/buffer.h"
#include "base/faults.h"
#include "model/endpoint.h"
#include "model/tier.h"
#include "model/whereabouts.h"
#include "model/worker.h"

#define RECORD_MAX ((size_t)256 * 1024) /* bytes of a record in the file */

/* Texts that are missing or null are absent. */
struct record {
    struct str id; /* valid */
    enum tier tier;
    struct str status;      /* "healthy", "degraded", "draining" or "offline" */
    double current_load;    /* 0 to 1 */
    double tasks_completed; /* a whole number */
    int64_t last_heartbeat; /* ms since 1970; 0 if missing */
    int64_t registered_at;  /* ms since 1970; the last heartbeat if missing */
    bool drained;
    int64_t drained_at;                            /* ms since 1970; 0 if missing */
    struct str capabilities, services, containers; /* minified JSON, as in struct registration */
    struct buffer hardware;                        /* owned: see hardware_store */
    struct whereabouts where;                      /* owned */
    struct str region, instance_id, boot_id, fingerprint, drain_reason, drained_from;
    struct str location, labels;                /* labels as the registration has them, see labels_read */
    char tls_fingerprint[TLS_FINGERPRINT_SIZE]; /* empty if it was not told */
    double dht_port;                            /* 0 if it was not told */
    struct buffer assigned_services;            /* names with commas between */
    struct buffer provides;                     /* names with commas between: the assigned services and others that it provides */

    void *document; /* owned, like the next one: the texts point into them */
    char *text;
};

/*
 * Reads the record `text` of worker `id`: a JSON value of a document that passed json_find_fault. *out points to `id`. Faults
 * are added to *faults; their field is "" for the id or the whole record. *unknown grows by the number of assigned containers
 * that the catalogue does not have; they are left out. Release *out with record_fini in any case.
 */
void record_parse(struct str id, struct str text, struct record *out, size_t *unknown, struct faults *faults);

void record_fini(struct record *record);

/*
 * Appends a worker as a member of the registry, with its id. `fingerprint` is the field of its registration that no listing
 * shows; `coordinator_url` goes into its containers' env.
 */
void record_write(struct buffer *out, const struct worker *worker, struct str fingerprint, struct str coordinator_url);

#endif
