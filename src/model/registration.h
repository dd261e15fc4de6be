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
    /* all absent when the request has none; they point into `document` or `text` */
    struct str worker_id;   /* a valid id */
    struct str instance_id; /* a valid id */
    struct str boot_id;     /* a valid id */
    struct whereabouts where;
    struct str capabilities;                             /* JSON object as it came, minified; always present */
    struct str services;                                 /* JSON array as it came, minified */
    struct str containers;                               /* JSON array as it came, minified */
    struct str service_names[REGISTRATION_SERVICES_MAX]; /* the distinct names in both, each a valid id; the catalogue's */
    size_t service_count;
    struct buffer hardware; /* owned: see hardware_store */
    enum tier tier;
    struct str location;                        /* of an edge node: where it says that it is */
    int dht_port;                               /* of an edge node; 0: it says none */
    char tls_fingerprint[TLS_FINGERPRINT_SIZE]; /* of the certificate of its URLs; empty: it says none */
    struct buffer labels;                       /* owned: "name=value," of each, see labels_read */

    /*
     * no part of the body: the join token that it registers with (absent: none; with its grant behind a dot where it shows a token
     * of its own), what its own tokens carry from now on (absent: what they carried), and how many workers the join token may have
     * (0: any number)
     */
    struct str join, grant;
    int join_max;
    struct str join_services; /* names with commas between: what it may be assigned and advertise; empty: anything */

    void *document;        /* owned: the parsed JSON */
    char *text;            /* owned: the minified members */
    struct faults ignored; /* owned: what can't be used, and was left out or changed */
};

/*
 * Fills *out from a request body. Addresses, URLs and ports that can't be used are left out and named in out->ignored; texts that
 * stand for nothing ("None", "N/A", blanks) are absent. Returns ERR_BAD_REQUEST with *why set (malformed JSON), or ERR_INVALID
 * with everything that is wrong in *faults, which must come in empty; *out is then left alone. On ERR_NONE the caller releases
 * *out with registration_fini.
 */
MUST_CHECK enum err registration_parse(struct str body, struct registration *out, struct faults *faults, const char **why);

/*
 * The same for POST /api/edge/register: tier 4 whatever it has, "capabilities" may be missing, "url" stands for a missing
 * "tunnel_url". Its location and dht_port are left out where they are none: nobody depends on them.
 */
MUST_CHECK enum err registration_parse_edge(struct str body, struct registration *out, struct faults *faults, const char **why);

/* Appends the capabilities in canonical form: the same text for the same JSON, however its members are ordered or spaced. */
void registration_write_looks(struct buffer *out, const struct registration *registration);

/* Appends what it tells of the health of what it advertises; see health.h. */
void registration_write_health(struct buffer *out, const struct registration *registration);

/* Appends what tells the machine from others: its boot_id ("b:…"), else what its hardware looks like ("h:", and JSON). */
void registration_write_machine(struct buffer *out, const struct registration *registration);

void registration_fini(struct registration *registration);

#endif
