/*
 * POST /api/worker/register, from its JSON to a checked struct.
 */
#ifndef MODEL_REGISTRATION_H
#define MODEL_REGISTRATION_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/faults.h"
#include "model/endpoint.h"
#include "model/hardware.h"
#include "model/tier.h"
#include "model/whereabouts.h"

#define REGISTRATION_SERVICES_MAX 128       /* services that one worker may advertise */
#define REGISTRATION_CAPABILITIES_MAX 16384 /* bytes of minified JSON */
#define REGISTRATION_SERVICES_TEXT_MAX 16384
#define REGISTRATION_LOCATION_MAX 128

struct registration {
    /* Absent if the request does not have them; they point into `document` or `text`. */
    struct str worker_id;   /* a valid id */
    struct str instance_id; /* a valid id */
    struct str boot_id;     /* a valid id */
    struct whereabouts where;
    struct str capabilities;                             /* JSON object as it came, minified; always present */
    struct str services;                                 /* JSON array as it came, minified */
    struct str containers;                               /* JSON array as it came, minified */
    struct str service_names[REGISTRATION_SERVICES_MAX]; /* the distinct names in both: valid ids, the catalogue's own names */
    size_t service_count;
    struct buffer hardware; /* owned: see hardware_store */
    enum tier tier;
    struct str location;                        /* of an edge node: its location, as it tells it */
    int dht_port;                               /* of an edge node; 0: not told */
    char tls_fingerprint[TLS_FINGERPRINT_SIZE]; /* of the certificate of its URLs; empty: not told */
    struct buffer labels;                       /* owned: "name=value," for each label, see labels_read */

    /*
     * Not part of the body: the join token with which it registers (absent: none; with a dot and its grant if it shows a token
     * of its own), what its own tokens carry from now on (absent: unchanged), and how many workers the join token may have (0:
     * any number).
     */
    struct str join, grant;
    int join_max;
    struct str join_services; /* names with commas between: the services that it may be assigned and may advertise; empty: any */

    void *document;        /* owned: the parsed JSON */
    char *text;            /* owned: the minified members */
    struct faults ignored; /* owned: members that can't be used, and were left out or changed */
};

/*
 * Fills *out from a request body. Addresses, URLs and ports that can't be used are left out and named in out->ignored; texts
 * that stand for nothing ("None", "N/A", blanks) are absent. Returns ERR_BAD_REQUEST with *why set (malformed JSON), or
 * ERR_INVALID with all faults in *faults, which must be empty before; *out is then unchanged. On ERR_NONE the caller releases
 * *out with registration_fini.
 */
MUST_CHECK enum err registration_parse(struct str body, struct registration *out, struct faults *faults, const char **why);

/*
 * The same for POST /api/edge/register: the tier is always 4, "capabilities" may be missing, and "url" replaces a missing
 * "tunnel_url". A bad location or dht_port is left out, since nobody depends on it.
 */
MUST_CHECK enum err registration_parse_edge(struct str body, struct registration *out, struct faults *faults, const char **why);

/*
 * Appends the capabilities in canonical form: the same text for the same JSON, whatever the order of its members and its white
 * space.
 */
void registration_write_looks(struct buffer *out, const struct registration *registration);

/* Appends the health of the services that it advertises; see health.h. */
void registration_write_health(struct buffer *out, const struct registration *registration);

/* Appends what distinguishes the machine from others: its boot_id ("b:…"), else a description of its hardware ("h:" and JSON). */
void registration_write_machine(struct buffer *out, const struct registration *registration);

void registration_fini(struct registration *registration);

#endif
