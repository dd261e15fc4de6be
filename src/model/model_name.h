/*
 * Names of models, in workers' lists of loaded models and in clients' requests.
 */
#ifndef MODEL_MODEL_NAME_H
#define MODEL_MODEL_NAME_H

#include "base/str.h"

#include <cjson/cJSON.h>

#define MODEL_NAME_MAX 128

/*
 * The form in which names are indexed and asked for, in `room`: lower case, without the tag ":latest", which a name without a
 * tag means ("Llama3:latest" is "llama3"). Absent for what is no name: it has 1 to MODEL_NAME_MAX visible ASCII characters, and
 * no comma.
 */
struct str model_name_normal(struct str name, char room[MODEL_NAME_MAX]);

/* The one of `models`, strings that were checked when they came or NULL, that has this normal form; NULL when there is none. */
const char *model_names_find(const cJSON *models, struct str normal);

/* Whether `models`, a JSON array of strings that was checked when it came, or absent, has a name with that normal form. */
bool model_names_have(struct str models, struct str normal);

#endif
