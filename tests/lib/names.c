/*
 * Names and connections under the control of a test. Preloaded into a process (LD_PRELOAD), it answers getaddrinfo() from the file
 * that NAMES_FILE names, and notes each connect() in the file that NAMES_LOG names. Nothing leaves this machine: a connection fails
 * unless its address is loopback, or the file leads it to loopback.
 *
 * Lines of the file, which is read at each call:
 *     NAME ANSWER…    the answers to the look-ups of NAME, one after the other; the last one is repeated. ANSWER is a comma list of
 *                     addresses, or "none"; either may have "slow:MS:" before it
 *     ADDRESS>PORT    connections to ADDRESS go to that port of 127.0.0.1
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { NAMES = 256, LINE = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char name[256];
    int calls;
} asked[NAMES]; /* how often each name has been looked up */

static void note(const char *address, int port)
{
    const char *path = getenv("NAMES_LOG");
    int fd = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    char line[LINE];
    int length = snprintf(line, sizeof(line), "%s %d\n", address, port);
    if (length > 0 && length < LINE && write(fd, line, (size_t)length) != length)
        abort();
    close(fd);
}

static int count_call(const char *name)
{
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < NAMES - 1 && asked[i].name[0] != '\0' && strcmp(asked[i].name, name) != 0)
        i++;
    snprintf(asked[i].name, sizeof(asked[i].name), "%s", name);
    int call = asked[i].calls++;
    pthread_mutex_unlock(&lock);
    return call;
}

/* Reads the rest of the file's line that begins with `word`; false if there is none. */
static int find_line(const char *word, char separator, char out[LINE])
{
    const char *path = getenv("NAMES_FILE");
    FILE *script = path == NULL ? NULL : fopen(path, "re");
    if (script == NULL)
        return 0;
    size_t length = strlen(word);
    int found = 0;
    while (!found && fgets(out, LINE, script) != NULL) {
        out[strcspn(out, "\n")] = '\0';
        found = strncasecmp(out, word, length) == 0 && out[length] == separator;
    }
    fclose(script);
    if (found)
        memmove(out, out + length + 1, strlen(out + length + 1) + 1);
    return found;
}

/* Makes an entry for the address, which the system's freeaddrinfo() can free; NULL if the text is no address. */
static struct addrinfo *make_entry(const char *address, int port, int type)
{
    struct addrinfo *entry = calloc(1, sizeof(*entry) + sizeof(struct sockaddr_in6));
    if (entry == NULL)
        abort();
    struct sockaddr_in6 *v6 = (void *)(entry + 1);
    struct sockaddr_in *v4 = (void *)(entry + 1);
    entry->ai_addr = (void *)(entry + 1);
    entry->ai_socktype = type == 0 ? SOCK_STREAM : type;
    entry->ai_protocol = IPPROTO_TCP;
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        entry->ai_family = v4->sin_family = AF_INET;
        entry->ai_addrlen = sizeof(*v4);
        v4->sin_port = htons((uint16_t)port);
    } else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        entry->ai_family = v6->sin6_family = AF_INET6;
        entry->ai_addrlen = sizeof(*v6);
        v6->sin6_port = htons((uint16_t)port);
    } else {
        free(entry);
        entry = NULL;
    }
    return entry;
}

static int resolve(char *answers, int call, int port, const struct addrinfo *hints, struct addrinfo **out)
{
    char *rest = NULL, *answer = strtok_r(answers, " ", &rest), *next;
    while (call-- > 0 && (next = strtok_r(NULL, " ", &rest)) != NULL)
        answer = next;
    if (answer != NULL && strncmp(answer, "slow:", 5) == 0) {
        long ms = strtol(answer + 5, &answer, 10);
        answer++;
        nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
    }
    if (answer == NULL || strcmp(answer, "none") == 0)
        return EAI_NONAME;
    struct addrinfo **end = out;
    *out = NULL;
    for (char *place = NULL, *one = strtok_r(answer, ",", &place); one != NULL; one = strtok_r(NULL, ",", &place)) {
        struct addrinfo *entry = make_entry(one, port, hints == NULL ? 0 : hints->ai_socktype);
        if (entry == NULL || (hints != NULL && hints->ai_family != AF_UNSPEC && hints->ai_family != entry->ai_family)) {
            free(entry);
            continue;
        }
        *end = entry;
        end = &entry->ai_next;
    }
    return *out == NULL ? EAI_NONAME : 0;
}

int getaddrinfo(const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict out)
{
    typedef int function(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    function *next = (function *)dlsym(RTLD_NEXT, "getaddrinfo");
    struct in_addr v4;
    char line[LINE];
    if (name == NULL)
        return next(name, service, hints, out);
    int port = service == NULL ? 0 : (int)strtol(service, NULL, 10);
    if (find_line(name, ' ', line))
        return resolve(line, count_call(name), port, hints, out);
    /* inet_aton reads every form of an address that the system reads */
    if (inet_aton(name, &v4) != 0 || strchr(name, ':') != NULL || strcmp(name, "localhost") == 0)
        return next(name, service, hints, out);
    return EAI_NONAME;
}

/* Whether the connection may be made. *led becomes the port of this machine to which the file leads it, if any. */
static int find_way(const struct sockaddr *address, char *text, size_t size, int *port, int *led)
{
    char line[LINE];
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    int is_v4 = address->sa_family == AF_INET;
    inet_ntop(address->sa_family, is_v4 ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr, text, (socklen_t)size);
    *port = ntohs(is_v4 ? v4->sin_port : v6->sin6_port);
    if (find_line(text, '>', line)) {
        *led = (int)strtol(line, NULL, 10);
        return 1;
    }
    return is_v4 ? ntohl(v4->sin_addr.s_addr) >> 24 == 127 : strcmp(text, "::1") == 0;
}

static int connect_here(int fd, int family, int port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = v4.sin_port};
    if (family == AF_INET)
        return (int)syscall(SYS_connect, fd, &v4, sizeof(v4));
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &v6.sin6_addr);
    return (int)syscall(SYS_connect, fd, &v6, sizeof(v6));
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int type = 0;
    socklen_t size = sizeof(type);
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
    if ((address->sa_family != AF_INET && address->sa_family != AF_INET6) || type != SOCK_STREAM)
        return (int)syscall(SYS_connect, fd, address, length); /* connecting a datagram socket sends nothing */
    char text[INET6_ADDRSTRLEN];
    int port, led = 0;
    int passes = find_way(address, text, sizeof(text), &port, &led);
    note(text, port);
    if (led != 0)
        return connect_here(fd, address->sa_family, led);
    if (passes)
        return (int)syscall(SYS_connect, fd, address, length);
    errno = ENETUNREACH;
    return -1;
}
