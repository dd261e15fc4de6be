/*
 * What the files that read a catalogue share.
 */
#ifndef MODEL_CATALOGUE_READING_H
#define MODEL_CATALOGUE_READING_H

#include "model/catalogue_file.h"
#include "model/json.h"
#include "model/line.h"

#define NAME_SHOWN_MAX 128 /* bytes of a member's name in a fault */

struct reading {
    const char *path;
    struct str text;
    catalogue_lookup *lookup;
    struct catalogue_file *file;
    struct buffer *faults;
    struct line_counter lines;
};

/* A value somewhere in the file. */
struct member {
    const cJSON *value; /* NULL: it is not there */
    struct str text;
    char path[NAME_SHOWN_MAX + 64]; /* "services[2].env.MODEL" */
};

__attribute__((format(printf, 4, 5))) void reading_add_fault(struct reading *reading, const char *place, const char *path,
                                                             const char *format, ...);

/* A walk over the members of an object, in the order of the file. */
struct members {
    const struct member *object;
    struct json_items items;
    const cJSON *next;
};

/* Begins a walk. It is over at once if the object is absent, or if it is not an object, which is a fault. */
struct members reading_members(struct reading *reading, const struct member *object);

/* Takes the next member, and its name as it is in the text; false at the end. */
bool reading_next_member(struct members *walk, struct member *out, struct str *name);

/* Whether a member before `value` among those of `object` has its name. */
bool reading_is_repeated(const cJSON *object, const cJSON *value);

/* Reads a whole number from `low` to `high`. A member that is absent or wrong leaves *out as it is. */
void reading_take_number(struct reading *reading, const struct member *member, int low, int high, int *out);

/* The members of a service that say how requests are passed on to it. */
#define PASSING_MEMBERS(X)                                                                                                         \
    X(PASSING_ROUTES, "routes")                                                                                                    \
    X(PASSING_PROXY, "proxy")                                                                                                      \
    X(PASSING_SPREAD, "spread")                                                                                                    \
    X(PASSING_IDEMPOTENT, "idempotent")                                                                                            \
    X(PASSING_AUTHORIZATION, "pass_authorization")                                                                                 \
    X(PASSING_LOADS, "loads_models")                                                                                               \
    X(PASSING_COOKIE, "set_cookie")                                                                                                \
    X(PASSING_TIMEOUTS, "timeouts")

enum {
#define X(place, name) place,
    PASSING_MEMBERS(X)
#undef X
        PASSING_COUNT
};

/* Reads these members into the service `index`. Its tier and name decide the default of "proxy". */
void catalogue_read_passing(struct reading *reading, const struct member found[PASSING_COUNT], size_t index);

/* Appends the variables of `env` and `pass_env` as catalogue_service.env has them. */
void catalogue_read_env(struct reading *reading, const struct member *env, const struct member *pass_env, struct buffer *out);

#endif
