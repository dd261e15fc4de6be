#include "model/health.h"

#include "base/ascii.h"
#include "model/catalogue.h"
#include "model/id.h"

#include <cjson/cJSON.h>

#define TEXT_MAX 256 /* bytes of a text that are read */
#define DEPTH_MAX 3  /* {"State": {"Health": {"Status": "unhealthy"}}} */

/* A text with one of these words says that the service is not well. */
static const char *const bad_words[] = {
    "aborted",
    "absent",
    "activating",
    "backoff",
    "bad",
    "broken",
    "completed",
    "containercannotrun",
    "containercreating",
    "corrupt",
    "crash",
    "crashed",
    "crashing",
    "crashloop",
    "crashloopbackoff",
    "created",
    "critical",
    "deactivating",
    "dead",
    "deadlineexceeded",
    "defunct",
    "degraded",
    "denied",
    "died",
    "disabled",
    "disconnected",
    "down",
    "draining",
    "econnrefused",
    "err",
    "errimagepull",
    "error",
    "errored",
    "evicted",
    "exit",
    "exited",
    "fail",
    "failed",
    "failedscheduling",
    "failing",
    "failure",
    "fatal",
    "fault",
    "faulty",
    "hung",
    "imagepullbackoff",
    "inactive",
    "initialising",
    "initializing",
    "invalidimagename",
    "killed",
    "loading",
    "lost",
    "maintenance",
    "masked",
    "missing",
    "nodelost",
    "nok",
    "not",
    "notready",
    "notrunning",
    "off",
    "offline",
    "oom",
    "oomkilled",
    "orphaned",
    "outage",
    "overdue",
    "overloaded",
    "panic",
    "paused",
    "pending",
    "podinitializing",
    "red",
    "refused",
    "rejected",
    "removal",
    "removed",
    "removing",
    "restarting",
    "segfault",
    "shutdown",
    "sick",
    "stalled",
    "starting",
    "stopped",
    "stopping",
    "stuck",
    "succeeded",
    "suspended",
    "terminated",
    "terminating",
    "timedout",
    "timeout",
    "unable",
    "unavailable",
    "unhealth",
    "unhealthy",
    "uninstalled",
    "unloaded",
    "unreachable",
    "unready",
    "unresponsive",
    "unschedulable",
    "unwell",
    "zombie",
};

/* So does a text with a word that ends in one of these: "CreateContainerError". */
static const char *const bad_ends[] = {"error", "failed", "backoff"};

/* So does one of these, if it is the whole text. */
static const char *const bad_texts[] = {"no",          "false",   "0", "n", "ko", "out_of_service", "out of service",
                                        "no response", "complete"};

/* Members of an object whose text tells how the service is. */
static const char *const verdicts[] = {"status", "health", "state", "phase", "condition", "status_code", "activestate", "substate"};

/* Members that tell whether the service is well: true, or a number that is not 0. */
static const char *const answers[] = {"healthy",   "is_healthy", "ishealthy", "ok",        "running", "is_running",
                                      "available", "is_up",      "ready",     "is_ready",  "up",      "alive",
                                      "is_alive",  "online",     "reachable", "connected", "active",  "responding"};

static bool is_one_of(struct str word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(word, str_from(words[i])))
            return true;
    return false;
}

/* Whether it is like "503", "HTTP 503", "503 Service Unavailable", or "0/1", kubectl's count of ready containers. */
static bool is_bad_number(struct str text)
{
    size_t at = text.len > 5 && str_eq_nocase((struct str){text.ptr, 5}, STR("HTTP ")) ? 5 : 0, digits = 0;
    while (at + digits < text.len && text.ptr[at + digits] >= '0' && text.ptr[at + digits] <= '9')
        digits++;
    char next = at + digits < text.len ? text.ptr[at + digits] : ' ';
    if (digits == 1 && text.ptr[at] == '0')
        return next == '/' && text.len > 2 && text.ptr[at + 2] >= '1' && text.ptr[at + 2] <= '9';
    return digits == 3 && next == ' ' && (text.ptr[at] == '4' || text.ptr[at] == '5');
}

static bool is_bad_word(struct str word)
{
    for (size_t i = 0; i < sizeof(bad_ends) / sizeof(bad_ends[0]); i++) {
        struct str end = str_from(bad_ends[i]);
        if (word.len > end.len && str_eq_nocase((struct str){word.ptr + word.len - end.len, end.len}, end))
            return true;
    }
    return is_one_of(word, bad_words, sizeof(bad_words) / sizeof(bad_words[0]));
}

static enum health read_text(struct str text)
{
    text = str_trim((struct str){text.ptr, text.len < TEXT_MAX ? text.len : TEXT_MAX});
    if (text.len == 0)
        return HEALTH_UNTOLD;
    if (is_one_of(text, bad_texts, sizeof(bad_texts) / sizeof(bad_texts[0])) || is_bad_number(text))
        return HEALTH_UNWELL;
    for (size_t at = 0, end; at < text.len; at = end + 1) {
        for (end = at; end < text.len && ascii_is_letter(text.ptr[end]);)
            end++;
        if (is_bad_word((struct str){text.ptr + at, end - at}))
            return HEALTH_UNWELL;
    }
    return HEALTH_WELL;
}

static enum health read_value(const cJSON *value, int depth);

/* Returns the worst that the members with these names tell. */
static enum health read_members(const cJSON *object, int depth)
{
    enum health worst = HEALTH_UNTOLD;
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        enum health health =
            read_value(cJSON_GetObjectItem(object, verdicts[i]), depth + 1); /* names match in upper and lower case */
        worst = health > worst ? health : worst;
    }
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const cJSON *item = cJSON_GetObjectItem(object, answers[i]);
        enum health health = read_value(item, depth + 1);
        if (cJSON_IsNumber(item))
            health = item->valuedouble == 0 ? HEALTH_UNWELL : HEALTH_WELL;
        worst = health > worst ? health : worst;
    }
    return worst;
}

static enum health read_value(const cJSON *value, int depth)
{
    if (cJSON_IsBool(value))
        return cJSON_IsTrue(value) ? HEALTH_WELL : HEALTH_UNWELL;
    if (cJSON_IsString(value))
        return read_text(str_from(value->valuestring));
    if (cJSON_IsNumber(value) && value->valuedouble >= 400 && value->valuedouble < 600) /* a status of HTTP */
        return HEALTH_UNWELL;
    if (!cJSON_IsObject(value) || depth >= DEPTH_MAX)
        return HEALTH_UNTOLD;
    return read_members(value, depth);
}

enum health health_read(const struct cJSON *value)
{
    return read_value(value, 0);
}

void health_add(struct health_list *list, struct str name, enum health health)
{
    size_t i = 0;
    while (i < list->count && !str_eq(list->names[i], name))
        i++;
    if (name.len == 0 || health == HEALTH_UNTOLD || i == HEALTH_SERVICES_MAX)
        return;
    list->well[i] = (i < list->count && list->well[i]) || health == HEALTH_WELL;
    list->names[i] = name;
    list->count += i == list->count;
}

void health_add_all(struct health_list *list, const struct cJSON *services_status)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, services_status)
    {
        struct str name = str_from(item->string);
        if (id_is_valid(name))
            health_add(list, catalogue_name(name), health_read(item));
    }
}

void health_write(struct buffer *out, const struct health_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        buffer_append(out, i > 0 ? STR(",") : STR(""));
        buffer_append(out, list->well[i] ? STR("") : STR("!"));
        buffer_append(out, list->names[i]);
    }
}
