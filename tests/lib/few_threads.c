/*
 * A system that allows few threads. Preloaded into a process (LD_PRELOAD), it lets pthread_create() fail after FEW_THREADS calls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

int pthread_create(pthread_t *id, const pthread_attr_t *attributes, void *(*run)(void *), void *data)
{
    static atomic_int made;
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (atomic_fetch_add(&made, 1) >= atol(getenv("FEW_THREADS")))
        return EAGAIN;
    return real(id, attributes, run, data);
}
