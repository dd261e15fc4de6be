/*
 * Data that comes to the port and is not a whole request. It is answered without a handler, counted by its kind, and logged.
 */
#ifndef HTTP_REFUSAL_H
#define HTTP_REFUSAL_H

#include "base/metrics.h"

/* Return what the bytes that libh2o has refused as a request look like; and a sentence about that. */
enum metrics_closing refusal_suspect(struct str bytes);
const char *refusal_describe(enum metrics_closing suspicion);

/* Counts and logs an answer that libh2o or connection_time.c has made. `detail` lives for ever; `address` is the client's. */
void refusal_note(int status, enum metrics_closing why, const char *detail, struct str address);

#endif
