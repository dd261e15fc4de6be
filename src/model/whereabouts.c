#include "model/whereabouts.h"

#include "base/ascii.h"
#include "model/address.h"
#include "model/json.h"
#include "model/placeholder.h"

#define NO_ADDRESS "must be an address that other machines can reach"
#define NO_URL "must be an http or https URL that other machines can reach"

/* Reads a text that names a place, and trims white space. Absent: there is no such text, or it is a placeholder. */
static struct str read_text(const cJSON *root, const char *name, struct faults *faults)
{
    struct str text = {NULL, 0};
    json_get_string(root, name, WHEREABOUTS_MAX, name, &text, faults);
    while (text.len > 0 && ascii_is_space(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && ascii_is_space(text.ptr[text.len - 1]))
        text.len--;
    return placeholder_is(text) && !str_eq(text, STR("::")) ? (struct str){NULL, 0} : text;
}

/* Whether `text` has a control character. Line breaks and tabs are allowed between addresses. */
static bool has_control_character(struct str text, bool has_addresses)
{
    for (size_t i = 0; i < text.len; i++)
        if (((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) && !(has_addresses && ascii_is_space(text.ptr[i])))
            return true;
    return false;
}

/* Writes a place to the text. The first call reserves room for all, since the texts of earlier ones must not move. */
static struct str keep(struct whereabouts *where, const struct place *place)
{
    if (where->text.ptr == NULL)
        buffer_reserve(&where->text, 3 * (WHEREABOUTS_MAX + 64));
    size_t at = where->text.len;
    place_write(&where->text, place);
    return (struct str){where->text.ptr + at, where->text.len - at};
}

/* Whether the text tells the state of the tunnel instead of its URL. */
static bool is_state(struct str text)
{
    static const char *const words[] = {"pending",  "starting", "connecting", "error", "failed", "disabled",
                                        "inactive", "offline",  "missing",    "true",  "yes",    "no"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_eq_nocase(text, str_from(words[i])))
            return true;
    return false;
}

void whereabouts_read_tunnel(struct whereabouts *where, const cJSON *root, const char *name, struct faults *ignored,
                             struct faults *faults)
{
    struct place place;
    struct str text = read_text(root, name, faults);
    if (text.len == 0 || where->tunnel_url.len > 0)
        return;
    if (has_control_character(text, false)) {
        faults_add(faults, name, "must have no control characters");
        return;
    }
    const char *why = place_read_url(text, &place);
    if (why == NULL && (!place_is_web(&place) || place.reach == REACH_NOWHERE || is_state(text)))
        why = NO_URL;
    if (why != NULL) {
        faults_add(ignored, name, "%s", why);
        return;
    }
    if (place.had_user)
        faults_add(ignored, name, "must have no user name or password; they were left out");
    where->tunnel_url = keep(where, &place);
    struct str told = str_from(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, name)));
    if (!str_eq(told, where->tunnel_url))
        where->told_tunnel = told;
}

/* Reads an address, or one of several. whereabouts_settle decides about one that only the worker's own machine can reach. */
static void read_address(struct whereabouts *where, const cJSON *root, const char *name, struct str *address,
                         struct faults *ignored, struct faults *faults)
{
    struct place place;
    size_t others;
    struct str text = read_text(root, name, faults);
    if (text.len == 0)
        return;
    const char *why = place_read_address(text, &place, &others);
    if (has_control_character(text, why == NULL)) {
        faults_add(faults, name, "must have no control characters");
        return;
    }
    if (why == NULL && where->port == 0 && place.scheme[0] == '\0')
        where->port = place.port;
    if (why != NULL || place.reach == REACH_NOWHERE) {
        faults_add(ignored, name, NO_ADDRESS);
        return;
    }
    *address = keep(where, &place);
    if (others > 0)
        faults_add(ignored, name, "must be one address; %.64s is taken", place.host);
}

void whereabouts_read(struct whereabouts *where, const cJSON *root, struct faults *ignored, struct faults *faults)
{
    read_address(where, root, "vpn_ip", &where->vpn_ip, ignored, faults);
    read_address(where, root, "ip_address", &where->ip_address, ignored, faults);
    whereabouts_read_tunnel(where, root, "tunnel_url", ignored, faults);
}

static bool is_self(struct str text)
{
    struct place place;
    size_t others;
    return text.len > 0 && place_read_address(text, &place, &others) == NULL && place.reach == REACH_SELF;
}

static bool is_url(struct str text)
{
    return text.len > 0 && memmem(text.ptr, text.len, "://", 3) != NULL;
}

/* Whether a caller's name can be an IP address. A caller on a unix socket has none. */
static bool is_address(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr("0123456789abcdefABCDEF.:", text.ptr[i]) == NULL)
            return false;
    return true;
}

void whereabouts_settle(struct whereabouts *where, struct str caller, struct faults *ignored)
{
    const struct {
        const char *name;
        struct str *text;
    } told[] = {{"ip_address", &where->ip_address}, {"vpn_ip", &where->vpn_ip}, {"tunnel_url", &where->tunnel_url}};
    bool is_near = is_self(caller);
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        if (is_near || !is_self(*told[i].text))
            continue;
        faults_add(ignored, told[i].name, NO_ADDRESS);
        *told[i].text = (struct str){NULL, 0};
    }
    where->caller = is_address(caller) ? caller : (struct str){NULL, 0};
    where->is_taken = where->ip_address.len == 0;
    if (where->is_taken)
        where->ip_address = caller;
    where->origin = is_url(where->ip_address) ? caller : where->ip_address; /* a tunnel may get another URL at each start */
}

void whereabouts_fini(struct whereabouts *where)
{
    buffer_fini(&where->text);
}
