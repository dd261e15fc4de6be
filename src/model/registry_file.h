/*
 * Reads the registry of the file-based coordinator: one JSON object, with a record for each worker under its id.
 */
#ifndef MODEL_REGISTRY_FILE_H
#define MODEL_REGISTRY_FILE_H

#include "base/err.h"
#include "model/record.h"

#define REGISTRY_FAULTS_SHOWN 48

/* A file that has been checked, and how far it has been read. */
struct registry_file {
    struct str text;
    const char *at;
    size_t count;              /* its records */
    size_t unknown_containers; /* assigned containers that the catalogue does not have, and that are left out */
};

/*
 * Checks the whole text (present) of a file. ERR_INVALID: something is wrong with it, and *faults gets a line for each of the
 * first REGISTRY_FAULTS_SHOWN faults: "workers.json:14: worker-1: tier must be from 1 to 4". *file needs no release.
 */
MUST_CHECK enum err registry_file_check(const char *path, struct str text, struct registry_file *file, struct buffer *faults);

/* Reads the next record of a file that passed; false at its end. Release it with record_fini. */
bool registry_file_next(struct registry_file *file, struct record *record);

#endif
