/*
 * The URLs under which a worker provides a service.
 */
#ifndef MODEL_ENDPOINT_H
#define MODEL_ENDPOINT_H

#include "base/faults.h"
#include "model/worker.h"

struct cJSON;

#define ENDPOINTS_MAX 32 /* of one worker for one service */

struct endpoints {
    struct buffer text; /* owned: the URLs, one after the other */
    size_t count;
    struct {
        size_t at, len;
    } items[ENDPOINTS_MAX];
};

/*
 * Finds the URLs, each once: one for each entry of that name that the worker advertises (`services`, `containers`), else one
 * for the assigned service. A URL is the entry's service_url; else the tunnel; else the worker's address with the entry's port,
 * the port that was told with the address, or the catalogue's port. If only the worker's own machine can reach a service_url,
 * its port and path alone are used. There are no URLs if no address is known. Release with endpoints_fini.
 */
void endpoints_find(struct endpoints *endpoints, const struct worker *worker, struct str service);

/* URL `i`; absent if there is none. */
struct str endpoints_at(const struct endpoints *endpoints, size_t i);

void endpoints_fini(struct endpoints *endpoints);

/*
 * Reads the fingerprint of a certificate: SHA-256 as 64 hex digits of either case, perhaps with colons between them and
 * "sha256:" before them. Writes the digits in lower case into `room`. Returns false, with an empty `room`, if the text is not a
 * fingerprint.
 */
#define TLS_FINGERPRINT_SIZE 65
bool endpoint_read_fingerprint(struct str text, char room[TLS_FINGERPRINT_SIZE]);

/* Adds the port and the service_url of an advertised entry (`field`: "services[0]") to *ignored if they can't be used. */
void endpoint_check(const struct cJSON *item, const char *field, struct faults *ignored);

#endif
