#include "base/hosts.h"

#include "base/ascii.h"

/* Returns a host without its port, and without the dot that may end a full name. */
static struct str name_of(struct str host)
{
    struct str name = str_trim(host);
    if (name.len > 0 && name.ptr[0] == '[') {
        const char *end = memchr(name.ptr, ']', name.len);
        return end != NULL ? (struct str){name.ptr, (size_t)(end - name.ptr) + 1} : name;
    }
    struct str rest = name;
    name = str_cut(&rest, ':');
    if (name.len > 1 && name.ptr[name.len - 1] == '.')
        name.len--;
    return name;
}

static bool is_made_of_plain_characters(struct str name)
{
    static const char marks[] = "-._:[]";
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool alphanumeric = ascii_is_alphanumeric(c);
        if (!alphanumeric && memchr(marks, c, sizeof(marks) - 1) == NULL)
            return false;
    }
    return true;
}

bool hosts_are_valid(struct str list)
{
    while (list.len > 0) {
        struct str host = str_trim(str_cut(&list, ','));
        if (name_of(host).len == 0 || !is_made_of_plain_characters(host))
            return false;
    }
    return true;
}

bool hosts_have(struct str list, struct str host)
{
    struct str name = name_of(host);
    while (name.len > 0 && list.len > 0)
        if (str_eq_nocase(name_of(str_cut(&list, ',')), name))
            return true;
    return false;
}
