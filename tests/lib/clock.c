/*
 * A wall clock that tests can move. Preloaded into a process (LD_PRELOAD), it adds an offset in milliseconds to all functions that
 * tell the time of day. The offset is the first int64_t of the file that CLOCK_OFFSET_FILE names. It is read at each call, so one
 * write moves the clock of every process that shares the file. While the second int64_t of the file is not 0, the clock stands
 * still at that moment (ms since 1970). CLOCK_MONOTONIC is not changed, so timers go on as if nothing had happened.
 *
 * The functions here ask the kernel directly and not through dlsym(RTLD_NEXT), so allocators and sanitizers may call them while
 * they start up.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { OFFSET, STANDING, NUMBERS };

static const volatile int64_t *shared; /* NULL until the library is initialised, and for ever if there is no file */

__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("CLOCK_OFFSET_FILE");
    if (path == NULL)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, NUMBERS * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        shared = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (syscall(SYS_clock_gettime, clock, now) != 0)
        return -1;
    if ((clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) || shared == NULL)
        return 0;
    int64_t standing = shared[STANDING], offset = shared[OFFSET];
    if (standing != 0) {
        *now = (struct timespec){.tv_sec = standing / 1000, .tv_nsec = standing % 1000 * 1000000};
        return 0;
    }
    now->tv_sec += offset / 1000;
    now->tv_nsec += offset % 1000 * 1000000;
    if (now->tv_nsec >= 1000000000) {
        now->tv_sec++;
        now->tv_nsec -= 1000000000;
    } else if (now->tv_nsec < 0) {
        now->tv_sec--;
        now->tv_nsec += 1000000000;
    }
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return (time_t)-1;
    if (out != NULL)
        *out = precise.tv_sec;
    return precise.tv_sec;
}
