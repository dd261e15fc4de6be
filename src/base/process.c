#include "base/process.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t started_at; /* clock_wall_ms */

void process_init(void)
{
    /* unless these are set, glibc raises both after a large block is freed, and then never returns the memory of a busy hour */
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
    started_at = clock_wall_ms();
}

void process_open_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

void process_keep_secrets(void)
{
    FILE *filter = fopen("/proc/self/coredump_filter", "we");
    bool kept = filter != NULL && fputs("0x10", filter) >= 0; /* the headers of files, so that a dump still says what crashed */
    kept = (filter == NULL || fclose(filter) == 0) && kept;
    if (!kept)
        setrlimit(RLIMIT_CORE, &(struct rlimit){.rlim_cur = 0, .rlim_max = 0});
}

double process_start_seconds(void)
{
    return (double)started_at / 1000;
}

double process_cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

int64_t process_resident_bytes(void)
{
    char line[128];
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    char *rest = fgets(line, sizeof(line), file);
    fclose(file);
    if (rest == NULL)
        return 0;
    strtoll(rest, &rest, 10); /* the second number; the first is the address space */
    return strtoll(rest, NULL, 10) * sysconf(_SC_PAGESIZE);
}

int64_t process_open_descriptors(void)
{
    struct stat status;
    if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
        return status.st_size; /* Linux 6.2 and later give the count as the size, without listing the descriptors */
    DIR *descriptors = opendir("/proc/self/fd");
    if (descriptors == NULL)
        return 0;
    int64_t count = -3; /* ".", "..", and the descriptor of this directory */
    while (readdir(descriptors) != NULL)
        count++;
    closedir(descriptors);
    return count;
}

int64_t process_max_descriptors(void)
{
    struct rlimit limit = {.rlim_cur = 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur == RLIM_INFINITY ? INT64_MAX : (int64_t)limit.rlim_cur;
}
