/*
 * Reads a service catalogue from JSON: the built-in one (catalogue.json), or a file in its place:
 *
 *     {"services": [{"name": "rag", "tier": 2, "container": "rma-rag-worker", "image": "ghcr.io/rma/rag-worker:latest",
 *                    "port": 8102, "priority": 1, "aliases": ["rag-embeddings"],
 *                    "env": {"MODEL": "${RAG_MODEL}", "MODE": "${RAG_MODE:-fast}"}, "pass_env": ["HF_TOKEN"]}, …]}
 *
 * A service must have name, tier, image and port. Values of env may name variables of the coordinator's own environment. These
 * may be secrets, so their values go into the containers' env and nowhere else. The variables that pass_env names go there
 * under the same name, unless they are not set or empty.
 *
 * More members say how requests are passed on to the service (struct catalogue_passing). These are their defaults, except that
 * "proxy" is false in tier 3:
 *
 *     "routes": {}, "proxy": true, "spread": "load", "idempotent": false, "pass_authorization": false, "set_cookie": false,
 *     "loads_models": false, "timeouts": {"head": 60, "silence": 60}
 */
#ifndef MODEL_CATALOGUE_FILE_H
#define MODEL_CATALOGUE_FILE_H

#include "base/err.h"
#include "model/catalogue.h"

#define CATALOGUE_FILE_MAX ((size_t)1024 * 1024)
#define CATALOGUE_SERVICES_MAX 256
#define CATALOGUE_CONTAINER_MAX 255
#define CATALOGUE_IMAGE_MAX 512
#define CATALOGUE_VARIABLE_MAX 128
#define CATALOGUE_ENV_MAX 16384 /* of one service, as JSON */

struct catalogue_file {
    struct catalogue_service *services; /* in the catalogue's order */
    size_t count;
    void *document; /* the services' texts point into it */
};

/* Returns the value of an environment variable; NULL if it is not set. getenv is such a function. */
typedef char *catalogue_lookup(const char *variable);

/*
 * Reads a catalogue. ERR_INVALID: something is wrong with it, and *faults gets a line for each fault: "catalogue.json:14:
 * services[2].port must be a whole number from 1 to 65535". Release *file with catalogue_file_fini either way.
 */
MUST_CHECK enum err catalogue_file_load(const char *path, catalogue_lookup *lookup, struct catalogue_file *file,
                                        struct buffer *faults);

/* The same for the file's text (present). */
MUST_CHECK enum err catalogue_file_parse(const char *path, struct str text, catalogue_lookup *lookup, struct catalogue_file *file,
                                         struct buffer *faults);

/* The same for the built-in catalogue. Only the values of the environment's variables can be wrong in it. */
MUST_CHECK enum err catalogue_file_built_in(catalogue_lookup *lookup, struct catalogue_file *file, struct buffer *faults);

/* The text of catalogue.json, which the build makes. */
extern const struct str embedded_catalogue_json;

void catalogue_file_fini(struct catalogue_file *file);

#endif
