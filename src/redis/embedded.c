#include "redis/embedded.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TIMEOUT_MS 20000 /* how long to wait for an answer of the server */
#define PING_TIMEOUT_MS 300
#define TAKE_OVER_TIMEOUT_MS 5000 /* how long an old server may take to end before it is killed */
#define STOP_TIMEOUT_MS 1000      /* the same for our own server, whose file already has all that it acknowledged */
#define BACKOFF_MIN_MS 20
#define BACKOFF_MAX_MS 5000
#define STABLE_MS 10000 /* after it has run so long, the pause before the next start is the shortest again */
#define EXIT_NO_PROGRAM 127

struct embedded {
    char dir[PATH_MAX];
    char path[ADDRESS_PATH_MAX + 1]; /* of the socket */
    const char *appendfsync;
    int coordinator_lock;
    int redis_lock; /* for the next server; -1 if the running one has it, or nobody has it */
    pid_t pid;      /* 0: not running */
    int64_t started_at;
    int64_t restart_at; /* if it does not run: when to start it */
    int32_t backoff;
    int ends;       /* how often it has ended since it last ran for STABLE_MS */
    int end_status; /* if ends > 0: how it ended last, as waitpid says it */
    bool hindered;  /* the next server can't be started, which has been logged */
};

static void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

/* Pauses for `pause` ms. Returns whether SIGTERM or SIGINT, which are blocked, has come. */
static bool asked_to_end(int pause)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    const struct timespec timeout = {0, pause * 1000000L};
    return sigtimedwait(&signals, NULL, &timeout) > 0;
}

/* In the child: becomes redis-server. */
static void run_server(const struct embedded *embedded, pid_t parent)
{
    /* a process group of its own, so that only the coordinator gets Ctrl-C; it then ends this server in order */
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    fcntl(embedded->redis_lock, F_SETFD, 0); /* the server holds the lock as long as it lives */
    int null = open("/dev/null", O_RDWR);
    if (null != -1) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    const char *const args[] = {
        "redis-server", "--port", "0", "--unixsocket", embedded->path, "--unixsocketperm", "700", "--dir", embedded->dir,
        "--logfile", "redis.log", "--loglevel", "warning", "--daemonize", "no", "--databases", "1",
        /* every write goes to the file before it is answered, unless the disk is busy with "everysec" (docs/operations.md) */
        "--appendonly", "yes", "--appendfsync", embedded->appendfsync, "--save", "", "--auto-aof-rewrite-min-size", "16mb",
        /* Redis must evict nothing; and a worker's hash must stay compact with its capabilities in it */
        "--maxmemory-policy", "noeviction", "--hash-max-listpack-value", "1024", NULL};
    execvp(args[0], (char **)(uintptr_t)args);
    _exit(EXIT_NO_PROGRAM);
}

static bool spawn(struct embedded *embedded)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == -1)
        return false;
    if (pid == 0)
        run_server(embedded, parent);
    embedded->pid = pid;
    embedded->started_at = clock_ms();
    char text[16];
    int len = snprintf(text, sizeof(text), "%d\n", pid);
    if (ftruncate(embedded->redis_lock, 0) != 0 || pwrite(embedded->redis_lock, text, (size_t)len, 0) != len)
        log_event(LOG_WARN, "redis_pid", "the embedded Redis's process id can't be written down", log_text("why", strerror(errno)));
    /* only the server and its children hold the lock now: it is free again when all of them are gone */
    close(embedded->redis_lock);
    embedded->redis_lock = -1;
    return true;
}

/* Whether the server has ended; *status becomes how. Then also kills what it forked, a rewrite of its file. */
static bool has_ended(struct embedded *embedded, int *status)
{
    siginfo_t end = {.si_pid = 0};
    if (waitid(P_PID, (id_t)embedded->pid, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == 0)
        return false;
    kill(-embedded->pid, SIGKILL); /* kills the group; before waitpid, since after it another process may get the id */
    waitpid(embedded->pid, status, 0);
    embedded->pid = 0;
    return true;
}

/* Opens a lock file. Returns its descriptor, or -1 with errno set. */
static int open_lock(const char *dir, const char *name)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

/* Takes redis.lock for the next server. Returns false with errno set; EWOULDBLOCK: a process of an old server holds it. */
static bool lock_redis(struct embedded *embedded)
{
    if (embedded->redis_lock == -1)
        embedded->redis_lock = open_lock(embedded->dir, "redis.lock");
    return embedded->redis_lock != -1 && flock(embedded->redis_lock, LOCK_EX | LOCK_NB) == 0;
}

/* Returns the process id in a lock file; 0 if there is none. */
static pid_t holder(int lock)
{
    char text[16] = "";
    ssize_t len = pread(lock, text, sizeof(text) - 1, 0);
    return len > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* Whether a process is a redis-server: the id may be another program's by now. */
static bool is_redis(pid_t pid)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return false;
    ssize_t len = read(fd, name, sizeof(name) - 1);
    close(fd);
    return len > 0 && strncmp(name, "redis-", 6) == 0;
}

/* Takes redis.lock, ending a server that an earlier coordinator has left behind. */
static enum err take_over(struct embedded *embedded, char why[256])
{
    if (lock_redis(embedded))
        return ERR_NONE;
    /* the file need not name the holder: it may be a process that the server forked, or a server that has just started */
    pid_t pid = holder(embedded->redis_lock);
    bool known = pid > 0 && is_redis(pid);
    if (known)
        log_event(LOG_INFO, "redis_takeover", "an earlier coordinator's Redis still runs here; ending it", log_number("pid", pid));
    else
        log_event(LOG_INFO, "redis_takeover", "a process of an earlier coordinator's Redis still runs here; waiting for its end");
    for (int signal_sent = SIGTERM; signal_sent != 0; signal_sent = signal_sent == SIGTERM ? SIGKILL : 0) {
        if (pid > 0 && is_redis(pid)) {
            kill(signal_sent == SIGKILL ? -pid : pid,
                 signal_sent); /* SIGTERM ends the server in order; SIGKILL also ends what it forked */
            kill(pid, SIGCONT);
        }
        for (int64_t end = clock_ms() + TAKE_OVER_TIMEOUT_MS; clock_ms() < end;) {
            if (lock_redis(embedded))
                return ERR_NONE;
            if (asked_to_end(10))
                return ERR_UNAVAILABLE;
        }
    }
    if (known)
        snprintf(why, 256, "an old redis-server (pid %d) still holds %.100s/redis.lock and does not end; kill it", pid,
                 embedded->dir);
    else
        snprintf(why, 256, "an old redis-server still holds %.100s/redis.lock and does not end; kill what uses that file (fuser)",
                 embedded->dir);
    return ERR_INVALID;
}

/* Asks the server for an answer. ERR_LOADING: it still reads its file. ERR_UNAVAILABLE: it does not answer. */
static enum err ping(const struct embedded *embedded)
{
    const struct timeval timeout = {0, PING_TIMEOUT_MS * 1000};
    redisContext *redis = redisConnectUnixWithTimeout(embedded->path, timeout);
    redisReply *reply = NULL;
    if (redis != NULL && redis->err == 0 && redisSetTimeout(redis, timeout) == REDIS_OK)
        reply = redisCommand(redis, "PING");
    enum err err = ERR_NONE;
    if (reply == NULL)
        err = ERR_UNAVAILABLE;
    else if (reply->type == REDIS_REPLY_ERROR && err_from_reply((struct str){reply->str, reply->len}) == ERR_LOADING)
        err = ERR_LOADING;
    freeReplyObject(reply);
    redisFree(redis);
    return err;
}

/* Makes a directory if it does not exist; on failure errno says why. */
static bool make_directory(const char *path, mode_t mode)
{
    struct stat found;
    if (mkdir(path, mode) == 0)
        return true;
    int cause = errno;
    if (stat(path, &found) == 0) {
        if (S_ISDIR(found.st_mode))
            return true;
        cause = ENOTDIR;
    }
    errno = cause;
    return false;
}

/* Makes the data directory and those above it that are missing; on failure `path` is cut after the one that can't be made. */
static bool make_directories(char *path)
{
    for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
        path[len - 1] = '\0';
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (!make_directory(path, 0777))
            return false;
        *slash = '/';
    }
    return make_directory(path, 0700); /* no other user may look into it */
}

static enum err prepare(struct embedded *embedded, const char *data_dir, char why[256])
{
    char path[PATH_MAX + 1];
    snprintf(path, sizeof(path), "%s", data_dir);
    if (!make_directories(path) || realpath(path, embedded->dir) == NULL) {
        snprintf(why, 256, "DATA_DIR can't be made: %.160s: %s", path, strerror(errno));
        return ERR_INVALID;
    }
    int len = snprintf(embedded->path, sizeof(embedded->path), "%s/redis.sock", embedded->dir);
    if (len < 0 || (size_t)len >= sizeof(embedded->path)) {
        snprintf(why, 256, "DATA_DIR is too long for a unix socket in it; its absolute path may have %d bytes",
                 ADDRESS_PATH_MAX - (int)strlen("/redis.sock"));
        return ERR_INVALID;
    }
    embedded->coordinator_lock = open_lock(embedded->dir, "coordinator.lock");
    embedded->redis_lock = open_lock(embedded->dir, "redis.lock");
    if (embedded->coordinator_lock == -1 || embedded->redis_lock == -1) {
        snprintf(why, 256, "DATA_DIR %.120s can't be written: %s", data_dir, strerror(errno));
        return ERR_INVALID;
    }
    if (flock(embedded->coordinator_lock, LOCK_EX | LOCK_NB) != 0) {
        snprintf(why, 256, "DATA_DIR %.80s is in use by another coordinator; give each its own, or give both one REDIS_URL",
                 data_dir);
        return ERR_INVALID;
    }
    return take_over(embedded, why);
}

static bool disk_is_full(const char *dir)
{
    struct statvfs disk;
    return statvfs(dir, &disk) == 0 && disk.f_blocks > 0 && disk.f_bavail == 0;
}

/* Says why a server has ended before it answered. */
static void explain_end(const struct embedded *embedded, int status, char why[256])
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_PROGRAM)
        snprintf(why, 256, "there is no redis-server on the PATH; install it (apt-get install redis-server) or set REDIS_URL");
    else if (disk_is_full(embedded->dir))
        snprintf(why, 256, "the embedded redis-server has ended; the disk of %.100s is full: free some space on it", embedded->dir);
    else
        snprintf(why, 256,
                 "the embedded redis-server has ended; redis.log in %.100s says why; "
                 "for a damaged file: redis-check-aof --fix appendonlydir/appendonly.aof.manifest there",
                 embedded->dir);
}

/*
 * Waits until the server answers. It listens before it has read its file, and ends if it can't read it, so a connection alone
 * says nothing. There is no limit of time as long as it reads its file.
 */
static enum err wait_until_up(struct embedded *embedded, char why[256])
{
    bool loading = false;
    for (int64_t end = clock_ms() + START_TIMEOUT_MS; clock_ms() < end;) {
        int status;
        if (has_ended(embedded, &status)) {
            explain_end(embedded, status, why);
            return ERR_INVALID;
        }
        enum err err = ping(embedded);
        if (err == ERR_NONE)
            return ERR_NONE;
        if (err == ERR_LOADING) {
            end = clock_ms() + START_TIMEOUT_MS;
            if (!loading)
                log_event(LOG_INFO, "redis_loading", "the embedded Redis reads its data; waiting for it",
                          log_text("dir", embedded->dir));
            loading = true;
        }
        if (asked_to_end(loading ? 20 : 2))
            return ERR_UNAVAILABLE;
    }
    snprintf(why, 256, "the embedded redis-server does not answer; redis.log in %.100s says more", embedded->dir);
    return ERR_INVALID;
}

enum err embedded_start(const char *data_dir, const char *appendfsync, struct embedded **out, struct address *address,
                        char why[256])
{
    struct embedded *embedded = calloc(1, sizeof(*embedded));
    if (embedded == NULL)
        abort();
    embedded->appendfsync = appendfsync;
    embedded->coordinator_lock = embedded->redis_lock = -1;
    embedded->backoff = BACKOFF_MIN_MS;
    enum err err = prepare(embedded, data_dir, why);
    if (err == ERR_NONE && !spawn(embedded)) {
        snprintf(why, 256, "redis-server can't be started: %s", strerror(errno));
        err = ERR_INVALID;
    }
    if (err == ERR_NONE)
        err = wait_until_up(embedded, why);
    if (err != ERR_NONE) {
        embedded_stop(embedded);
        return err;
    }
    *address = (struct address){.db = 0};
    memcpy(address->path, embedded->path, sizeof(address->path));
    *out = embedded;
    return ERR_NONE;
}

/* Plans the next start. An end that repeats is logged once, and counted. */
static void on_end(struct embedded *embedded, int status)
{
    embedded->restart_at = clock_ms() + embedded->backoff;
    embedded->backoff = embedded->backoff * 2 < BACKOFF_MAX_MS ? embedded->backoff * 2 : BACKOFF_MAX_MS;
    bool news = embedded->ends == 0 || status != embedded->end_status;
    embedded->ends++;
    embedded->end_status = status;
    if (!news)
        return;
    char path[PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s/redis.log", embedded->dir);
    log_event(LOG_WARN, "redis_died", "the embedded Redis has ended, its log may say why; starting it again until it stays",
              log_number(WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
              log_text("log", path), log_number("ends", embedded->ends));
}

/* Forgets earlier ends, since the server has run long enough and answers. One that still loads its data may yet end. */
static void on_stable(struct embedded *embedded)
{
    log_event(LOG_INFO, "redis_recovered", "the embedded Redis has run for a while again", log_number("ends", embedded->ends));
    embedded->ends = 0;
    embedded->backoff = BACKOFF_MIN_MS;
}

/* Starts the server again if all processes of the old one are gone: two servers would write the same files. */
static void start_again(struct embedded *embedded)
{
    const char *why = NULL;
    if (!lock_redis(embedded))
        why = errno == EWOULDBLOCK ? "a process of the old one still lives" : strerror(errno);
    else if (!spawn(embedded))
        why = strerror(errno);
    if (why == NULL) {
        embedded->hindered = false;
        return;
    }
    embedded->restart_at = clock_ms() + embedded->backoff;
    if (!embedded->hindered)
        log_event(LOG_WARN, "redis_hindered", "the embedded Redis can't be started again, trying on", log_text("why", why));
    embedded->hindered = true;
}

int32_t embedded_tick(struct embedded *embedded)
{
    int64_t now = clock_ms();
    int status;
    if (embedded->pid != 0 && embedded->ends > 0 && now - embedded->started_at >= STABLE_MS && ping(embedded) == ERR_NONE)
        on_stable(embedded);
    if (embedded->pid != 0 && has_ended(embedded, &status))
        on_end(embedded, status);
    if (embedded->pid == 0 && now >= embedded->restart_at)
        start_again(embedded);
    return embedded->pid != 0 ? 1000 : (int32_t)(embedded->restart_at - now);
}

void embedded_stop(struct embedded *embedded)
{
    if (embedded->pid != 0) {
        int status;
        kill(embedded->pid, SIGTERM);
        for (int64_t end = clock_ms() + STOP_TIMEOUT_MS; !has_ended(embedded, &status); pause_ms(2))
            if (clock_ms() > end)
                kill(embedded->pid, SIGKILL);
    }
    if (embedded->redis_lock != -1)
        close(embedded->redis_lock);
    if (embedded->coordinator_lock != -1)
        close(embedded->coordinator_lock);
    free(embedded);
}
