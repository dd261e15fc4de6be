#include "upstream/answer.h"

#include "base/ascii.h"
#include "base/chunks.h"

#include <llhttp.h>
#include <stdlib.h>

#define LENGTH_DIGITS_MAX 18
#define TEXT_BEGIN 1         /* names and values begin here: an offset of 0 means "no value yet" */
#define EXTENSION_SPARED 256 /* bytes of each chunk's extension that don't count: an answer may have any number of chunks */

#define HEADERS_ROOM 16 /* at first; doubled when it is full */

/* Where a header stands in the head's text. */
struct header_place {
    uint32_t name, name_len;
    uint32_t value, value_len; /* `value` 0: there is none yet */
};

struct answer {
    llhttp_t parser;
    const struct answer_events *events;
    void *data;
    bool is_head, upgrade;

    struct buffer text; /* names and values of the head, one after the other */
    struct header_place *places;
    struct answer_header *headers; /* once the head is whole; NULL: there are none */
    size_t count, room;            /* of places */
    size_t head_size;              /* bytes, status line and line ends included */
    int interim;                   /* answers of 1xx so far */
    int64_t length;                /* -1: not known */
    bool head_is_read;             /* that of the final answer, not of an interim one */
    bool at_line_start, after_cr;
    bool chunked; /* the body comes in chunks, which llhttp does not read */
    bool done, upgraded;
    struct chunks chunks;
    const char *fault;
};

static int refuse(struct answer *answer, const char *fault)
{
    if (answer->fault == NULL)
        answer->fault = fault;
    return HPE_USER;
}

static struct str text_at(const struct answer *answer, uint32_t at, uint32_t len)
{
    return (struct str){answer->text.ptr + at, len};
}

static void add_header(struct answer *answer)
{
    if (answer->count == answer->room) {
        answer->room = answer->room > 0 ? 2 * answer->room : HEADERS_ROOM;
        answer->places = realloc(answer->places, answer->room * sizeof(answer->places[0]));
        if (answer->places == NULL)
            abort();
    }
    answer->places[answer->count++] = (struct header_place){.name = (uint32_t)answer->text.len};
}

/* Refuses control characters in the reason phrase, since llhttp accepts them. */
static int on_reason(llhttp_t *parser, const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)at[i] < ' ' && at[i] != '\t') || at[i] == 0x7f)
            return refuse(parser->data, "a reason with control characters");
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct answer *answer = parser->data;
    /* the last header has its value already, or there is no header yet: a new one begins */
    if (answer->count == 0 || answer->places[answer->count - 1].value != 0) {
        if (answer->count == ANSWER_HEADERS_MAX)
            return refuse(answer, "more headers than may be");
        add_header(answer);
    }
    buffer_append(&answer->text, (struct str){at, len});
    answer->places[answer->count - 1].name_len += (uint32_t)len;
    return 0;
}

/* The name is whole: what comes now is the value, which may be empty. */
static int on_field_complete(llhttp_t *parser)
{
    struct answer *answer = parser->data;
    struct header_place *place = answer->count > 0 ? &answer->places[answer->count - 1] : NULL;
    if (place == NULL || place->name_len == 0 || place->value != 0)
        return refuse(answer, "a header without a name");
    place->value = (uint32_t)answer->text.len;
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct answer *answer = parser->data;
    buffer_append(&answer->text, (struct str){at, len});
    answer->places[answer->count - 1].value_len += (uint32_t)len;
    return 0;
}

/* Reads a Content-Length of 1 to 18 digits; -1 for anything else. */
static int64_t read_length(struct str text)
{
    int64_t length = 0;
    if (text.len == 0 || text.len > LENGTH_DIGITS_MAX)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        length = length * 10 + (text.ptr[i] - '0');
    }
    return length;
}

/*
 * Sets answer->length. Returns what is wrong, or NULL: the head may state the length of the body in one way only (RFC 9112,
 * section 6.3).
 */
static const char *check_length(struct answer *answer)
{
    bool chunked = false;
    answer->length = -1;
    for (size_t i = 0; i < answer->count; i++) {
        struct str name = answer->headers[i].name, value = answer->headers[i].value;
        if (str_eq_nocase(name, STR("transfer-encoding"))) {
            if (chunked || !str_eq_nocase(value, STR("chunked")))
                return "a Transfer-Encoding other than chunked";
            chunked = true;
        } else if (str_eq_nocase(name, STR("content-length"))) {
            int64_t length = read_length(value);
            if (length < 0 || (answer->length >= 0 && answer->length != length))
                return "a Content-Length that is none";
            answer->length = length;
        }
    }
    if (chunked && (answer->length >= 0 || answer->parser.http_minor == 0))
        return answer->length >= 0 ? "Content-Length and Transfer-Encoding together" : "Transfer-Encoding in HTTP/1.0";
    int status = answer->parser.status_code;
    if ((status < 200 || status == 204) && (chunked || answer->length > 0))
        return "a body where none may be";
    answer->chunked = chunked;
    return NULL;
}

/* Whether a name is a token (RFC 9110, section 5.6.2); llhttp lets a blank before the colon pass. */
static bool is_token(struct str name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool alphanumeric = ascii_is_alphanumeric(c);
        if (!alphanumeric && (c == '\0' || strchr(marks, c) == NULL))
            return false;
    }
    return name.len > 0;
}

static const char *check_head(struct answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        if (!is_token(answer->headers[i].name))
            return "a header whose name is none";
    int status = answer->parser.status_code;
    if (answer->parser.http_major != 1 || answer->parser.http_minor > 1)
        return "a version other than HTTP/1.0 and HTTP/1.1";
    if (status < 100 || status > 599)
        return "a status that is none";
    if (status == 101 && !(answer->upgrade && str_eq_nocase(answer_header(answer, "upgrade"), STR("websocket"))))
        return "another protocol that nobody asked for";
    if (status < 200 && status != 101 && ++answer->interim > ANSWER_INTERIM_MAX)
        return "more interim answers than may be";
    return check_length(answer);
}

static void list_headers(struct answer *answer)
{
    free(answer->headers);
    answer->headers = answer->count > 0 ? malloc(answer->count * sizeof(answer->headers[0])) : NULL;
    if (answer->count > 0 && answer->headers == NULL)
        abort();
    for (size_t i = 0; i < answer->count; i++) {
        struct header_place place = answer->places[i];
        answer->headers[i] = (struct answer_header){text_at(answer, place.name, place.name_len),
                                                    str_trim(text_at(answer, place.value, place.value_len))};
    }
}

static int on_headers_complete(llhttp_t *parser)
{
    struct answer *answer = parser->data;
    list_headers(answer);
    const char *fault = check_head(answer);
    if (fault != NULL)
        return refuse(answer, fault);
    int status = parser->status_code;
    if (status < 200 && status != 101)
        return 0;
    answer->head_is_read = true;
    answer->upgraded = status == 101;
    answer->events->head(answer->data);
    if (answer->upgraded)
        return 2;
    return answer_is_bodiless(answer) ? 1 : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct answer *answer = parser->data;
    answer->events->body(answer->data, (struct str){at, len});
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct answer *answer = parser->data;
    if (answer->head_is_read) {
        answer->done = true;
        return HPE_PAUSED;
    }
    answer->count = 0; /* an interim answer has ended: drop its headers */
    answer->text.len = TEXT_BEGIN;
    answer->head_size = 0;
    return 0;
}

static const llhttp_settings_t settings = {
    .on_status = on_reason,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

struct answer *answer_new(const struct answer_events *events, void *data, bool is_head, bool upgrade)
{
    struct answer *answer = calloc(1, sizeof(*answer));
    if (answer == NULL)
        abort();
    llhttp_init(&answer->parser, HTTP_RESPONSE, &settings);
    answer->parser.data = answer;
    answer->events = events;
    answer->data = data;
    answer->is_head = is_head;
    answer->upgrade = upgrade;
    answer->length = -1;
    answer->at_line_start = true;
    answer->chunks.spared = EXTENSION_SPARED;
    buffer_append(&answer->text, STR(" ")); /* TEXT_BEGIN */
    return answer;
}

void answer_free(struct answer *answer)
{
    buffer_fini(&answer->text);
    free(answer->places);
    free(answer->headers);
    free(answer);
}

/*
 * Whether CR and LF stand in the piece only as a pair, and only at its end. The piece is at most one line of a head. If it ends
 * with a CR, the next piece must be the LF. llhttp accepts some heads that break this rule.
 */
static bool has_line_end(struct answer *answer, struct str piece)
{
    bool after_cr = answer->after_cr, ends = piece.ptr[piece.len - 1] == '\n';
    const char *cr = memchr(piece.ptr, '\r', piece.len);
    answer->after_cr = cr == piece.ptr + piece.len - 1;
    if (after_cr)
        return ends && piece.len == 1;
    return cr == NULL ? !ends : answer->after_cr || (ends && cr == piece.ptr + piece.len - 2);
}

/*
 * Sets *size to how many of `bytes` to parse at once. Of a head this is at most one line, so that the first byte of each line can
 * be checked; after the head it is all. Returns NULL, or what is wrong with the head.
 */
static const char *choose_piece(struct answer *answer, struct str bytes, size_t *size)
{
    *size = bytes.len;
    if (answer->head_is_read)
        return NULL;
    if (answer->at_line_start && answer->head_size > 0 && (bytes.ptr[0] == ' ' || bytes.ptr[0] == '\t'))
        return "a folded header line";
    const char *end = memchr(bytes.ptr, '\n', bytes.len);
    *size = end != NULL ? (size_t)(end - bytes.ptr) + 1 : bytes.len;
    answer->at_line_start = end != NULL;
    answer->head_size += *size;
    if (answer->head_size > ANSWER_HEAD_MAX)
        return "a head that is larger than it may be";
    return has_line_end(answer, (struct str){bytes.ptr, *size}) ? NULL : "a head with a CR or LF of its own";
}

static enum answer_state state_of(const struct answer *answer)
{
    if (answer->fault != NULL)
        return ANSWER_BAD;
    return answer->upgraded ? ANSWER_UPGRADE : answer->done ? ANSWER_DONE : ANSWER_MORE;
}

/* Reads chunks, since llhttp reads them less strictly. Returns how many bytes it has read. */
static size_t read_chunks(struct answer *answer, struct str bytes)
{
    size_t taken;
    struct str body = {bytes.ptr, chunks_decode(&answer->chunks, (char *)(uintptr_t)bytes.ptr, bytes.len, &taken)};
    if (body.len > 0)
        answer->events->body(answer->data, body);
    answer->done = answer->chunks.state == CHUNKS_END;
    if (answer->chunks.state == CHUNKS_BROKEN)
        refuse(answer, "a chunk or a trailer that is none");
    return taken;
}

enum answer_state answer_read(struct answer *answer, struct str bytes, size_t *used)
{
    *used = 0;
    while (*used < bytes.len && state_of(answer) == ANSWER_MORE) {
        struct str rest = {bytes.ptr + *used, bytes.len - *used};
        size_t size;
        if (answer->head_is_read && answer->chunked) {
            *used += read_chunks(answer, rest);
            continue;
        }
        const char *fault = choose_piece(answer, rest, &size);
        if (fault != NULL) {
            refuse(answer, fault);
            break;
        }
        llhttp_errno_t err = llhttp_execute(&answer->parser, rest.ptr, size);
        if (err == HPE_OK) {
            *used += size;
            continue;
        }
        *used += (size_t)(llhttp_get_error_pos(&answer->parser) - rest.ptr);
        if (!answer->done && !answer->upgraded)
            refuse(answer, llhttp_errno_name(err));
    }
    return state_of(answer);
}

enum answer_state answer_end(struct answer *answer)
{
    if (state_of(answer) == ANSWER_MORE && (llhttp_finish(&answer->parser) != HPE_OK || !answer->done) && !answer->done)
        refuse(answer, "it ended early");
    return state_of(answer);
}

const char *answer_fault(const struct answer *answer)
{
    return answer->fault;
}

int answer_status(const struct answer *answer)
{
    return answer->parser.status_code;
}

const struct answer_header *answer_headers(const struct answer *answer, size_t *count)
{
    *count = answer->count;
    return answer->headers;
}

struct str answer_header(const struct answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->count; i++)
        if (str_eq_nocase(answer->headers[i].name, str_from(name)))
            return answer->headers[i].value;
    return (struct str){NULL, 0};
}

int64_t answer_length(const struct answer *answer)
{
    return answer->length;
}

bool answer_is_bodiless(const struct answer *answer)
{
    return answer->is_head || answer->parser.status_code == 204 || answer->parser.status_code == 304;
}

bool answer_keeps_alive(const struct answer *answer)
{
    return answer->done && answer->fault == NULL && llhttp_should_keep_alive(&answer->parser) != 0;
}
