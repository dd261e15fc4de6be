/*
 * What this process uses of the system.
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdint.h>

/* Notes when the process began; to be called at its start. */
void process_init(void);

/* Seconds since 1970 at process_init. */
double process_start_seconds(void);

/* Seconds of CPU time that all its threads have used. */
double process_cpu_seconds(void);

/* Bytes in memory; 0 if the system does not tell. */
int64_t process_resident_bytes(void);

/* Descriptors that are open, and how many may be. */
int64_t process_open_descriptors(void);
int64_t process_max_descriptors(void);

#endif
