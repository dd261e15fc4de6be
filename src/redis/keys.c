#include "redis/keys.h"

#include <assert.h>
#include <stdio.h>

static struct {
    char text[KEY_MAX];
    size_t len;
} names[KEY_COUNT];

bool key_prefix_is_valid(const char *prefix)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *end = prefix + strspn(prefix, plain);
    if (*end == '{') {
        size_t inside = strspn(end + 1, plain);
        if (inside == 0 || end[1 + inside] != '}')
            return false;
        end += inside + 2;
        end += strspn(end, plain);
    }
    return *end == '\0';
}

void keys_init(struct str prefix)
{
    static const char *const texts[KEY_COUNT] = {
#define X(name, text) [KEY_##name] = text,
        KEYS(X)
#undef X
    };
    assert(prefix.len <= KEY_PREFIX_MAX);
    for (int key = 0; key < KEY_COUNT; key++) {
        int len = snprintf(names[key].text, sizeof(names[key].text), "%.*s:%s", STR_PRINTF(prefix), texts[key]);
        names[key].len = (size_t)len;
    }
}

struct str key_name(enum key key)
{
    return (struct str){names[key].text, names[key].len};
}

static struct str compose(char room[KEY_MAX], enum key key, struct str id, const char *suffix)
{
    int len = snprintf(room, KEY_MAX, "%s%.*s%s", names[key].text, STR_PRINTF(id), suffix);
    assert(len > 0 && len < KEY_MAX);
    return (struct str){room, (size_t)len};
}

struct str key_worker(char room[KEY_MAX], struct str id)
{
    return compose(room, KEY_worker, id, "");
}

struct str key_task(char room[KEY_MAX], struct str id)
{
    return compose(room, KEY_task, id, "");
}

struct str key_wake(char room[KEY_MAX], struct str thread)
{
    return compose(room, KEY_wake, thread, "");
}

struct str key_registration(char room[KEY_MAX], struct str id)
{
    return compose(room, KEY_registration, id, "");
}

struct str key_worker_online(char room[KEY_MAX], struct str id)
{
    return compose(room, KEY_worker, id, ":online");
}
