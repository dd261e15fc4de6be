/*
 * Ids that come from outside: worker, instance, service, queue and task ids.
 */
#ifndef MODEL_ID_H
#define MODEL_ID_H

#include "base/str.h"

#define ID_MAX 128
#define ID_RESERVED_END ":online" /* the key of worker "x:online" would be the online key of worker "x" */
#define ID_RULE "must be 1 to 128 characters of A-Z a-z 0-9 . _ : - and must not end in " ID_RESERVED_END

/*
 * Whether `id` matches [A-Za-z0-9._:-]{1,128} and does not have the reserved end. Only such an id may become part of a Redis
 * key.
 */
bool id_is_valid(struct str id);

#endif
