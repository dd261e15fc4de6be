/*
 * Names of models, in workers' lists of loaded models and in clients' requests.
 */
#ifndef MODEL_MODEL_NAME_H
#define MODEL_MODEL_NAME_H

#include "base/str.h"

#include <cjson/cJSON.h>

#define MODEL_NAME_MAX 128

/*
 * Writes the normal form of a name, for indexes and queries, into `room`: lower case, without the tag ":latest" and without
 * Ollama's own registry, which are the defaults ("library/Llama3:latest" becomes "llama3"). The result is absent if the text is
 * not a name: a name has 1 to MODEL_NAME_MAX visible ASCII characters, and no comma.
 */
struct str model_name_normal(struct str name, char room[MODEL_NAME_MAX]);

/* The first of `models` with that normal form; NULL if there is none. `models` are strings that have been checked, or NULL. */
const char *model_names_find(const cJSON *models, struct str normal);

/* Whether `models` has a name with that normal form. `models` is absent, or a JSON array of strings that has been checked. */
bool model_names_have(struct str models, struct str normal);

#endif
