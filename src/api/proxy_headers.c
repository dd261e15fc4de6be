#include "api/proxy_headers.h"

#include "api/principal.h"

static char normal(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c == '_' ? '-' : c;
}

/* Whether `name` begins with `word`, which is in lower case. */
static bool begins(struct str name, const char *word, size_t len)
{
    if (name.len < len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (normal(name.ptr[i]) != word[i])
            return false;
    return true;
}

static bool is(struct str name, const char *word)
{
    size_t len = strlen(word);
    return name.len == len && begins(name, word, len);
}

struct word {
    const char *text;
    size_t len;
};
#define WORD(text)                                                                                                                 \
    {                                                                                                                              \
        text, sizeof(text) - 1                                                                                                     \
    }

/* Whether `name` is one of the words, which end with NULL. Compares the lengths first, since they nearly always differ. */
static bool is_one(struct str name, const struct word *words)
{
    for (; words->text != NULL; words++)
        if (words->len == name.len && begins(name, words->text, words->len))
            return true;
    return false;
}

/* Whether `name` begins with one of the words. */
static bool begins_with_one(struct str name, const struct word *words)
{
    for (; words->text != NULL; words++)
        if (begins(name, words->text, words->len))
            return true;
    return false;
}

/* The headers of one connection, also if Connection does not name them, and those that say where a message ends: we set our own. */
static const struct word hop_by_hop[] = {WORD("connection"),
                                         WORD("keep-alive"),
                                         WORD("proxy-connection"),
                                         WORD("proxy-authenticate"),
                                         WORD("proxy-authentication-info"),
                                         WORD("proxy-authorization"),
                                         WORD("te"),
                                         WORD("trailer"),
                                         WORD("transfer-encoding"),
                                         WORD("upgrade"),
                                         WORD("http2-settings"),
                                         WORD("content-length"),
                                         {NULL, 0}};

bool proxy_add_connection(struct proxy_connection *connection, struct str value)
{
    if (connection->count == PROXY_CONNECTION_LINES_MAX)
        return false;
    connection->lines[connection->count++] = value;
    return true;
}

static bool is_named(struct str name, const struct proxy_connection *connection)
{
    for (size_t i = 0; i < connection->count; i++)
        for (struct str rest = connection->lines[i]; rest.len > 0;)
            if (str_eq_nocase(str_trim(str_cut(&rest, ',')), name))
                return true;
    return false;
}

bool proxy_goes_up(struct str name, const struct proxy_connection *connection, const struct proxy_trust *trust)
{
    static const struct word ours[] = {
        WORD("host"),         WORD("expect"),           WORD("forwarded"),      WORD("x-real-ip"), WORD("x-client-ip"),
        WORD("x-request-id"), WORD("cf-connecting-ip"), WORD("true-client-ip"), WORD("proxy"),     {NULL, 0}};
    static const struct word our_families[] = {WORD("x-forwarded-"), WORD("x-rma-"), WORD("fly-"), {NULL, 0}};
    if (is_one(name, hop_by_hop) || is_one(name, ours) || begins_with_one(name, our_families) || is_named(name, connection))
        return false;
    return is(name, "cookie") ? trust->cookies : !is(name, "authorization") || trust->authorization;
}

/* Returns the name of the cookie that a Set-Cookie sets. */
static struct str cookie_name(struct str cookie)
{
    struct str pair = str_cut(&cookie, ';');
    return str_trim(str_cut(&pair, '='));
}

bool proxy_comes_down(struct str name, struct str value, const struct proxy_connection *connection, const struct proxy_trust *trust)
{
    /* headers that we set ourselves, and those that act on the whole origin or on a proxy in front of us */
    static const struct word ours[] = {WORD("server"),
                                       WORD("date"),
                                       WORD("x-request-id"),
                                       WORD("x-reproxy-url"),
                                       WORD("x-accel-redirect"),
                                       WORD("x-accel-charset"),
                                       WORD("x-accel-expires"),
                                       WORD("x-accel-limit-rate"),
                                       WORD("alt-svc"),
                                       WORD("strict-transport-security"),
                                       WORD("public-key-pins"),
                                       WORD("public-key-pins-report-only"),
                                       WORD("expect-ct"),
                                       WORD("nel"),
                                       WORD("report-to"),
                                       WORD("reporting-endpoints"),
                                       WORD("clear-site-data"),
                                       WORD("service-worker-allowed"),
                                       WORD("origin-agent-cluster"),
                                       WORD("accept-ch"),
                                       WORD("critical-ch"),
                                       WORD("set-login"),
                                       WORD("use-as-dictionary"),
                                       {NULL, 0}};
    static const struct word our_families[] = {
        WORD("access-control-"), WORD("x-rma-"),       WORD("fly-replay"),      WORD("x-sendfile"),
        WORD("x-lighttpd-send"), WORD("sec-session-"), WORD("secure-session-"), {NULL, 0}};
    if (is_one(name, hop_by_hop) || is_one(name, ours) || begins_with_one(name, our_families) || is_named(name, connection))
        return false;
    if (!is(name, "set-cookie"))
        return true;
    struct str cookie = cookie_name(value); /* without one, a browser would send "=rma_session=…" back as our cookie */
    return trust->cookies && cookie.len > 0 && !str_eq_nocase(cookie, STR(SESSION_COOKIE));
}

void proxy_write_cookies(struct buffer *out, struct str cookies)
{
    size_t before = out->len;
    while (cookies.len > 0) {
        struct str pair = str_trim(str_cut(&cookies, ';')), rest = pair;
        struct str name = str_trim(str_cut(&rest, '='));
        if (pair.len == 0 || str_eq_nocase(name, STR(SESSION_COOKIE)))
            continue;
        if (out->len > before)
            buffer_append(out, STR("; "));
        buffer_append(out, pair);
    }
}

size_t proxy_count_hops(struct str via)
{
    size_t count = 0;
    while (via.len > 0) {
        struct str hop = str_trim(str_cut(&via, ','));
        (void)str_cut(&hop, ' ');
        struct str name = str_cut(&hop, ' ');
        count += str_eq_nocase(name, STR(PROXY_NAME));
    }
    return count;
}

static bool is_hex(struct str text)
{
    bool all_zero = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        all_zero = all_zero && c == '0';
    }
    return !all_zero;
}

bool proxy_is_trace(struct str trace)
{
    return trace.len == 55 && memcmp(trace.ptr, "00-", 3) == 0 && trace.ptr[35] == '-' && trace.ptr[52] == '-' &&
           is_hex((struct str){trace.ptr + 3, 32}) && is_hex((struct str){trace.ptr + 36, 16}) &&
           (is_hex((struct str){trace.ptr + 53, 2}) || memcmp(trace.ptr + 53, "00", 2) == 0);
}

static bool has_word(struct str text, const char *word)
{
    size_t len = strlen(word);
    for (; text.len >= len; text.ptr++, text.len--)
        if (begins(text, word, len))
            return true;
    return false;
}

bool proxy_is_page(struct str type)
{
    struct str mime = str_trim(str_cut(&type, ';'));
    bool is_type = mime.len > 2 && memchr(mime.ptr, '/', mime.len) != NULL && memchr(mime.ptr, '*', mime.len) == NULL &&
                   memchr(mime.ptr, ',', mime.len) == NULL;
    return !is_type || has_word(mime, "html") || has_word(mime, "xml") || has_word(mime, "xsl") || has_word(mime, "svg") ||
           has_word(mime, "multipart");
}

bool proxy_is_replay(struct str type)
{
    return has_word(type, "vnd.fly.replay");
}

static void add(struct buffer *out, struct str name, struct str value)
{
    buffer_append(out, name);
    buffer_append(out, STR(": "));
    buffer_append(out, value);
    buffer_append(out, STR("\r\n"));
}

/* Appends an address in the syntax of Forwarded (RFC 7239, section 6). */
static void add_node(struct buffer *out, struct str address)
{
    bool brackets = address.len > 0 && memchr(address.ptr, ':', address.len) != NULL;
    buffer_append(out, brackets ? STR("\"[") : STR(""));
    buffer_append(out, address.len > 0 ? address : STR("unknown"));
    buffer_append(out, brackets ? STR("]\"") : STR(""));
}

static void add_origin(struct buffer *out, const struct proxy_head *head)
{
    buffer_append(out, STR("Forwarded: for="));
    add_node(out, head->address);
    buffer_append(out, STR(";host=\""));
    buffer_append(out, head->host);
    buffer_append(out, STR("\";proto="));
    buffer_append(out, head->scheme);
    buffer_append(out, STR("\r\n"));
    if (head->address.len > 0)
        add(out, STR("X-Forwarded-For"), head->address);
    add(out, STR("X-Forwarded-Host"), head->host);
    add(out, STR("X-Forwarded-Proto"), head->scheme);
    if (head->front.len + head->prefix.len > 0) {
        buffer_append(out, STR("X-Forwarded-Prefix: "));
        buffer_append(out, head->front);
        buffer_append(out, head->prefix);
        buffer_append(out, STR("\r\n"));
    }
    add(out, STR("Via"), STR("1.1 " PROXY_NAME));
    add(out, STR("X-Request-Id"), head->request_id);
}

/* Appends the client's headers that go to the worker. Returns whether a valid traceparent is among them. */
static bool add_fields(struct buffer *out, const struct proxy_head *head)
{
    bool traced = false;
    for (size_t i = 0; i < head->count; i++)
        if (is(head->fields[i].name, "traceparent"))
            traced = proxy_is_trace(head->fields[i].value);
    for (size_t i = 0; i < head->count; i++) {
        struct str name = head->fields[i].name, value = head->fields[i].value;
        if (!proxy_goes_up(name, head->connection, head->trust) || (is(name, "authorization") && head->authorization.len > 0) ||
            (is(name, "content-type") && head->type.len > 0) || (!traced && (is(name, "traceparent") || is(name, "tracestate"))))
            continue;
        if (!is(name, "cookie")) {
            add(out, name, value);
            continue;
        }
        size_t before = out->len;
        buffer_append(out, STR("cookie: "));
        size_t begin = out->len;
        proxy_write_cookies(out, value);
        if (out->len == begin)
            out->len = before;
        else
            buffer_append(out, STR("\r\n"));
    }
    return traced;
}

void proxy_write_head(struct buffer *out, const struct proxy_head *head)
{
    add(out, STR("Host"), head->authority);
    bool traced = add_fields(out, head);
    if (!traced && head->trace.len > 0)
        add(out, STR("traceparent"), head->trace);
    if (head->authorization.len > 0)
        add(out, STR("Authorization"), head->authorization);
    add_origin(out, head);
    if (head->type.len > 0)
        add(out, STR("Content-Type"), head->type);
    if (head->length.len > 0)
        add(out, STR("Content-Length"), head->length);
    if (head->chunked)
        add(out, STR("Transfer-Encoding"), STR("chunked"));
    if (head->upgrade.len > 0) {
        add(out, STR("Connection"), STR("Upgrade"));
        add(out, STR("Upgrade"), head->upgrade);
    }
    buffer_append(out, STR("\r\n"));
}
