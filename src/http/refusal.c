#include "http/refusal.h"

#include "base/log_repeat.h"

#include <h2o.h>

static bool begins_with(struct str text, struct str start)
{
    return text.len >= start.len && memcmp(text.ptr, start.ptr, start.len) == 0;
}

enum metrics_closing refusal_suspect(struct str bytes)
{
    if (bytes.len >= H2O_MAX_REQLEN)
        return CLOSING_TOO_LONG;
    if (begins_with(bytes, STR("\x16\x03")))
        return CLOSING_TLS;
    if (begins_with(bytes, STR("PROXY ")) || begins_with(bytes, STR("\r\n\r\n\0\r\nQUIT\n")))
        return CLOSING_PROXY;
    return begins_with(bytes, STR("PRI * HTTP/2")) ? CLOSING_HTTP2 : CLOSING_MALFORMED;
}

const char *refusal_describe(enum metrics_closing suspicion)
{
    switch (suspicion) {
    case CLOSING_TLS:
        return "TLS came to a port that speaks plain HTTP: use http://, or a proxy that ends TLS.";
    case CLOSING_PROXY:
        return "The PROXY protocol is not spoken here: let the proxy set X-Forwarded-For instead.";
    case CLOSING_HTTP2:
        return "HTTP/2 is not spoken here: use HTTP/1.1.";
    case CLOSING_TOO_LONG:
        return "The head of the request is too long.";
    default:
        return "What came is no HTTP/1.1 request, or has more than 100 headers.";
    }
}

void refusal_note(int status, enum metrics_closing why, const char *detail, struct str address)
{
    metric_add(&metrics->closings[why], 1);
    metric_add(&metrics->requests[0][METHOD_OTHER][status_place(status)], 1);
    log_repeatable(LOG_INFO, "request", "refused", 2, log_number("status", status), log_text("detail", detail),
                   log_str("address", address));
}
