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
    struct buffer text; /* owned: the URLs, one behind the other */
    size_t count;
    struct {
        size_t at, len;
    } items[ENDPOINTS_MAX];
};

/*
 * Finds them: one for each entry of that name in what the worker advertises (`services`, `containers`), else one for the
 * assigned service; each once. It is the entry's service_url; else the tunnel; else the worker's address with the entry's port,
 * the port that was told with the address, or the catalogue's port. Of a service_url that only the worker's own machine can
 * reach, it uses the port and the path alone. There are none when no address is known. Release with endpoints_fini.
 */
void endpoints_find(struct endpoints *endpoints, const struct worker *worker, struct str service);

/* URL `i`; absent when there is none. */
struct str endpoints_at(const struct endpoints *endpoints, size_t i);

void endpoints_fini(struct endpoints *endpoints);

/*
 * Reads the fingerprint of a certificate, SHA-256 as 64 hex digits of either case; colons between and "sha256:" before them are
 * passed over. Writes the digits in lower case into `room`. Returns false, and `room` is empty, when it is none.
 */
#define TLS_FINGERPRINT_SIZE 65
bool endpoint_read_fingerprint(struct str text, char room[TLS_FINGERPRINT_SIZE]);

/* Adds what can't be used of an advertised entry (`field`: "services[0]") to *ignored: its port, its service_url. */
void endpoint_check(const struct cJSON *item, const char *field, struct faults *ignored);

#endif
