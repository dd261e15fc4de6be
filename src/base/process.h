/*
 * What this process uses of the system.
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdint.h>

/* Notes when the process began; to be called at its start. */
void process_init(void);

/*
 * Opens /dev/null as those of stdin, stdout and stderr that are closed. Otherwise the next file or socket would take their place,
 * and get what is printed and logged. To read and to write there fails as before.
 */
void process_open_standard(void);

/*
 * Keeps the process's memory, and so every secret in it, out of crash dumps (core(5)). Its children inherit that. To get such a
 * dump, write 0x33 to /proc/PID/coredump_filter.
 */
void process_keep_secrets(void);

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
