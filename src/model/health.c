#include "model/health.h"

#include "model/catalogue.h"
#include "model/id.h"

#include <cjson/cJSON.h>

#define TEXT_MAX 256 /* of a text, the bytes that are looked at */
#define DEPTH_MAX 3  /* {"State": {"Health": {"Status": "unhealthy"}}} */

/* A text that has one of them as a word says that something is not well. */
static const char *const bad_words[] = {
    "aborted",
    "backoff",
    "bad",
    "broken",
    "containercreating",
    "crash",
    "crashed",
    "crashing",
    "crashloop",
    "crashloopbackoff",
    "created",
    "critical",
    "dead",
    "degraded",
    "denied",
    "died",
    "disabled",
    "disconnected",
    "down",
    "draining",
    "err",
    "errimagepull",
    "error",
    "errored",
    "evicted",
    "exit",
    "exited",
    "fail",
    "failed",
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
    "killed",
    "loading",
    "lost",
    "maintenance",
    "missing",
    "nok",
    "not",
    "notready",
    "notrunning",
    "off",
    "offline",
    "oom",
    "oomkilled",
    "outage",
    "overdue",
    "panic",
    "paused",
    "pending",
    "red",
    "refused",
    "removed",
    "removing",
    "restarting",
    "sick",
    "starting",
    "stopped",
    "stopping",
    "stuck",
    "suspended",
    "terminated",
    "terminating",
    "timedout",
    "timeout",
    "unable",
    "unavailable",
    "unhealth",
    "unhealthy",
    "unreachable",
    "unresponsive",
    "unwell",
};

/* So do these, but only alone. */
static const char *const bad_texts[] = {"no", "false", "0", "n", "ko"};

/* Members of an object that tell how it is. */
static const char *const verdicts[] = {"status",  "health",    "state", "healthy", "is_healthy", "ok",
                                       "running", "available", "ready", "up",      "alive",      "online"};

static bool is_one_of(struct str word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(word, str_from(words[i])))
            return true;
    return false;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static enum health read_text(struct str text)
{
    text = str_trim((struct str){text.ptr, text.len < TEXT_MAX ? text.len : TEXT_MAX});
    if (text.len == 0)
        return HEALTH_UNTOLD;
    if (is_one_of(text, bad_texts, sizeof(bad_texts) / sizeof(bad_texts[0])))
        return HEALTH_UNWELL;
    for (size_t at = 0, end; at < text.len; at = end + 1) {
        for (end = at; end < text.len && is_letter(text.ptr[end]);)
            end++;
        if (end > at && is_one_of((struct str){text.ptr + at, end - at}, bad_words, sizeof(bad_words) / sizeof(bad_words[0])))
            return HEALTH_UNWELL;
    }
    return HEALTH_WELL;
}

static enum health read_value(const cJSON *value, int depth);

/* The worst that members of those names tell. */
static enum health read_members(const cJSON *object, int depth)
{
    enum health worst = HEALTH_UNTOLD;
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        enum health health = read_value(cJSON_GetObjectItem(object, verdicts[i]), depth + 1); /* in any case */
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
    if (cJSON_IsNumber(value) && value->valuedouble >= 400 && value->valuedouble < 600) /* of HTTP */
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
