/*
 * A machine that is slow at hashing passwords. Preloaded into a process (LD_PRELOAD), it lets crypt_r() take SLOW_PASSWORDS_MS
 * longer.
 */
#define _GNU_SOURCE
#include <crypt.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

char *crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
    char *(*real)(const char *, const char *, struct crypt_data *);
    *(void **)&real = dlsym(RTLD_NEXT, "crypt_r");
    long ms = atol(getenv("SLOW_PASSWORDS_MS"));
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
    return real(phrase, setting, data);
}
