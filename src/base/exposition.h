/*
 * A writer of Prometheus's text format, version 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
#ifndef BASE_EXPOSITION_H
#define BASE_EXPOSITION_H

#include "base/buffer.h"
#include "base/metrics.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct label {
    const char *name;
    struct str value; /* UTF-8; whatever stands in it is escaped */
};

/* Labels for the functions below: LABELS({"tier", STR("1")}, {"status", name}); NULL where there are none. */
#define LABELS(...) ((const struct label[]){__VA_ARGS__, {NULL, {NULL, 0}}})

/* Begins a family; its samples must follow. `type`: "counter", "gauge" or "histogram"; `help` is plain text. */
void exposition_family(struct buffer *out, const char *name, const char *type, const char *help);

/* Appends a sample of the family. */
void exposition_sample(struct buffer *out, const char *name, const struct label *labels, double value);

/* Appends all samples of a histogram, in seconds. Its bounds and its sum have a unit of which `per_second` make a second. */
void exposition_histogram(struct buffer *out, const char *name, const struct label *labels, const struct histogram *histogram,
                          const int64_t bounds[HISTOGRAM_BUCKETS], double per_second);

/* A family of one sample without labels. */
void exposition_single(struct buffer *out, const char *name, const char *type, const char *help, double value);

#endif
