#include "http/head.h"

#include "http/request.h"

#define HOST_MARKS "-._~%!$&'()*+,;=:[]" /* in a Host, besides letters and digits (RFC 3986, section 3.2) */
#define LENGTH_DIGITS_MAX 18
#define SIZE_MOST (64 * 1024)

/* What the lines of a head say about where the request goes and where it ends. */
struct framing {
    const char *why; /* the first reason to refuse it; NULL: none */
    const char *odd;
    struct str target, host;
    int hosts, lengths, encodings, expectations;
    size_t length;
    bool is_http_1_1, is_chunked, expects_continue;
    bool has_bare_lf, has_crlf;
};

size_t head_find_end(struct str bytes, size_t from)
{
    size_t at = 0;
    while (at < bytes.len && (bytes.ptr[at] == '\r' || bytes.ptr[at] == '\n'))
        at++;
    at = from > at ? from : at;
    while (at < bytes.len) {
        const char *end = memchr(bytes.ptr + at, '\n', bytes.len - at);
        if (end == NULL)
            return 0;
        at = (size_t)(end - bytes.ptr) + 1;
        if (at < bytes.len && bytes.ptr[at] == '\n')
            return at + 1;
        if (at + 1 < bytes.len && bytes.ptr[at] == '\r' && bytes.ptr[at + 1] == '\n')
            return at + 2;
    }
    return 0;
}

/* Cuts off the next line and returns it without its end; *has_cr: whether that had a carriage return. */
static struct str next_line(struct str *rest, bool *has_cr)
{
    struct str line = str_cut(rest, '\n');
    *has_cr = line.len > 0 && line.ptr[line.len - 1] == '\r';
    line.len -= *has_cr;
    return line;
}

static void refuse(struct framing *framing, const char *why)
{
    if (framing->why == NULL)
        framing->why = why;
}

static void take_request_line(struct framing *framing, struct str line)
{
    struct str rest = line;
    struct str method = str_cut(&rest, ' ');
    struct str target = str_cut(&rest, ' ');
    framing->target = target;
    framing->is_http_1_1 = str_eq(rest, STR("HTTP/1.1"));
    if (!framing->is_http_1_1 && !str_eq(rest, STR("HTTP/1.0")))
        refuse(framing, "The request's version is neither HTTP/1.1 nor HTTP/1.0.");
    if (method.len == 0 || !request_is_made_of(method, "!#$%&'*+-.^_`|~"))
        framing->odd = "The request's method is no word.";
    if (target.len == 0 || memchr(target.ptr, '#', target.len) != NULL)
        refuse(framing, "The request's target is missing or has a fragment; send # as %23.");
}

static void take_length(struct framing *framing, struct str value)
{
    bool is_number = value.len > 0 && value.len <= LENGTH_DIGITS_MAX && (value.ptr[0] != '0' || value.len == 1);
    framing->lengths++;
    framing->length = 0;
    for (size_t i = 0; i < value.len && is_number; i++) {
        is_number = value.ptr[i] >= '0' && value.ptr[i] <= '9';
        framing->length = framing->length * 10 + (size_t)(value.ptr[i] - '0');
    }
    if (!is_number)
        refuse(framing, "The Content-Length is not a plain number.");
}

/* Whether a header says where the request goes or ends. Connection must not name it, since a proxy would remove it then. */
static bool is_framing_name(struct str name)
{
    return str_eq_nocase(name, STR("host")) || str_eq_nocase(name, STR("content-length")) ||
           str_eq_nocase(name, STR("transfer-encoding"));
}

/* Whether the next program may take a name for another one: many turn both '_' and '-' into '_'. */
static bool is_look_alike(struct str name)
{
    return str_eq_nocase(name, STR("content_length")) || str_eq_nocase(name, STR("transfer_encoding"));
}

static void take_connection(struct framing *framing, struct str value)
{
    while (value.len > 0)
        if (is_framing_name(str_trim(str_cut(&value, ','))))
            refuse(framing, "The Connection header names a header that every connection needs.");
}

static void take_header(struct framing *framing, struct str line)
{
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        refuse(framing, "A header line is folded; send each header in one line.");
    struct str value = line;
    struct str name = str_cut(&value, ':');
    bool has_tab = value.len > 0 && memchr(value.ptr, '\t', value.len) != NULL;
    value = str_trim(value);
    if (name.len == 4 && str_eq_nocase(name, STR("host"))) {
        framing->hosts++;
        framing->host = value;
        if (!request_is_made_of(value, HOST_MARKS))
            refuse(framing, "The Host header holds more than a host and a port.");
    } else if (name.len == 6 && str_eq_nocase(name, STR("expect"))) {
        framing->expectations++;
        framing->expects_continue = str_eq_nocase(value, STR("100-continue"));
    } else if (name.len == 10 && str_eq_nocase(name, STR("connection"))) {
        take_connection(framing, value);
    } else if (name.len == 14 && str_eq_nocase(name, STR("content-length"))) {
        take_length(framing, has_tab ? STR("") : value);
    } else if (name.len == 17 && str_eq_nocase(name, STR("transfer-encoding"))) {
        framing->encodings++;
        framing->is_chunked = !has_tab && str_eq_nocase(value, STR("chunked")); /* with a tab, llhttp reads something else */
    } else if (is_look_alike(name)) {
        refuse(framing, "A header is named Content_Length or Transfer_Encoding; send it with '-', or not at all.");
    }
}

/* Returns the host of "http://host/path"; absent for any other target. */
static struct str host_of_target(struct str target)
{
    struct str scheme = str_cut(&target, ':');
    if (!(str_eq_nocase(scheme, STR("http")) || str_eq_nocase(scheme, STR("https"))) || target.len < 2 || target.ptr[0] != '/' ||
        target.ptr[1] != '/')
        return (struct str){NULL, 0};
    target = (struct str){target.ptr + 2, target.len - 2};
    target = str_cut(&target, '?');
    return str_cut(&target, '/');
}

/* Finds what may be answered here, but might mean something else to a worker. */
static void check_oddities(struct framing *framing)
{
    struct str target = framing->target;
    if (framing->has_bare_lf)
        framing->odd = "A header line ends without a carriage return.";
    if (target.len > 0 && target.ptr[0] != '/' &&
        (framing->host.ptr == NULL || !str_eq_nocase(host_of_target(target), framing->host)))
        framing->odd = "The request's target is no path, and no URL with the host of the Host header.";
}

/* Checks the lines against each other. */
static void check_framing(struct framing *framing)
{
    bool has_body = framing->encodings > 0 || framing->length > 0;
    if (framing->hosts == 0 && framing->is_http_1_1)
        refuse(framing, "The Host header is missing.");
    if (framing->hosts > 1)
        refuse(framing, "The Host header is repeated.");
    if (framing->lengths > 1)
        refuse(framing, "The Content-Length header is repeated.");
    if (framing->encodings > 1)
        refuse(framing, "The Transfer-Encoding header is repeated.");
    if (framing->lengths > 0 && framing->encodings > 0)
        refuse(framing, "Content-Length and Transfer-Encoding exclude each other.");
    if (framing->encodings > 0 && !framing->is_http_1_1)
        refuse(framing, "HTTP/1.0 knows no Transfer-Encoding; send Content-Length.");
    if (framing->encodings > 0 && !framing->is_chunked)
        refuse(framing, "The Transfer-Encoding is not chunked; send the body as it is.");
    if (framing->has_bare_lf && (framing->has_crlf || has_body))
        refuse(framing, "A header line ends without a carriage return.");
}

static void read_lines(struct framing *framing, struct str rest)
{
    bool is_request_line = true;
    while (rest.len > 0) {
        bool has_cr;
        struct str line = next_line(&rest, &has_cr);
        *(has_cr ? &framing->has_crlf : &framing->has_bare_lf) = true;
        if (line.len == 0)
            continue; /* before the request line, where it is allowed (RFC 9112, section 2.2), or at the head's end */
        if (is_request_line)
            take_request_line(framing, line);
        else
            take_header(framing, line);
        is_request_line = false;
    }
}

bool head_is_hidden_name(struct str name)
{
    return str_eq(name, STR("-ontent-length")) || str_eq(name, STR("-ransfer-encoding")) || str_eq(name, STR("-xpect"));
}

static void hide(char *bytes, size_t size)
{
    struct str rest = {bytes, size};
    while (rest.len > 0) {
        char *at = bytes + (rest.ptr - bytes);
        bool has_cr;
        struct str line = next_line(&rest, &has_cr);
        struct str name = str_cut(&line, ':');
        if (str_eq_nocase(name, STR("expect")) || str_eq_nocase(name, STR("content-length")) ||
            str_eq_nocase(name, STR("transfer-encoding")))
            *at = '-';
    }
}

void head_read(char *bytes, size_t size, size_t whole_max, struct head *head)
{
    struct framing framing = {.why = NULL};
    *head = (struct head){.size = size};
    read_lines(&framing, (struct str){bytes, size});
    check_framing(&framing);
    check_oddities(&framing);
    if (framing.encodings > 0)
        head->body = HEAD_CHUNKED;
    else if (framing.length > 0)
        head->body = HEAD_LENGTH;
    head->length = framing.length;
    bool may_expect = framing.expectations > 0 && framing.is_http_1_1 && head->body != HEAD_NO_BODY; /* RFC 9110, section 10.1.1 */
    head->expects = may_expect && framing.expects_continue;
    if (framing.why != NULL)
        head->err = ERR_BAD_REQUEST;
    else if (size > SIZE_MOST)
        head->err = ERR_HEAD_TOO_LARGE;
    else if (may_expect && !framing.expects_continue)
        head->err = ERR_EXPECTATION;
    head->why = framing.why;
    head->odd = framing.odd;
    head->hidden = head->err != ERR_NONE || head->body == HEAD_CHUNKED || head->length > whole_max || framing.expectations > 0;
    if (head->hidden)
        hide(bytes, size);
}
