/* Requests to workers over TLS: to the right one, or to none. */
#include "far_end.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>

#define CERTIFICATE "tests/lib/certificate.pem" /* of 127.0.0.1; trusted here, see main */
#define OK "HTTP/1.1 200 OK\r\n"

static int listener, port;
static SSL_CTX *trusted, *unknown; /* of servers: with that certificate, and with one of a stranger */

/* The worker: takes connections, one at a time, reads requests of `takes` bytes and answers each. */
static struct {
    SSL_CTX *context;
    int fd; /* -1: none */
    SSL *ssl;
    struct buffer got, last; /* of the present request, and the one before it */
    size_t takes;
    struct str says;
    size_t said;
    bool plain;    /* speaks no TLS */
    bool silent;   /* nor anything */
    bool farewell; /* ends the connection behind an answer, in TLS's way; */
    bool cut;      /* or without */
    int handshakes, requests;
} worker;

static void hang_up(void)
{
    SSL_free(worker.ssl);
    close(worker.fd);
    worker.ssl = NULL;
    worker.fd = -1;
}

static void answer(void)
{
    int wrote = SSL_write(worker.ssl, worker.says.ptr + worker.said, (int)(worker.says.len - worker.said));
    worker.said += wrote > 0 ? (size_t)wrote : 0;
    if (worker.said < worker.says.len)
        return;
    buffer_fini(&worker.last);
    worker.last = worker.got;
    worker.got = BUFFER_INIT;
    worker.said = 0;
    worker.requests++;
    if (worker.farewell)
        SSL_shutdown(worker.ssl);
    if (worker.farewell || worker.cut)
        hang_up();
}

static void step(void)
{
    if (worker.fd == -1 && has_something(listener)) {
        worker.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        worker.got.len = worker.said = 0;
        if (worker.plain)
            say(worker.fd, STR("HTTP/1.1 400 This is no TLS\r\n\r\n"));
        worker.ssl = SSL_new(worker.context);
        SSL_set_fd(worker.ssl, worker.fd);
        SSL_set_accept_state(worker.ssl);
    }
    if (worker.fd == -1 || worker.plain || worker.silent)
        return;
    ERR_clear_error();
    bool begins = !SSL_is_init_finished(worker.ssl);
    int result = 1;
    while (result > 0 && worker.got.len < worker.takes) {
        result = SSL_read(worker.ssl, buffer_reserve(&worker.got, 65536), 65536);
        worker.got.len += result > 0 ? (size_t)result : 0;
    }
    worker.handshakes += begins && SSL_is_init_finished(worker.ssl);
    int err = SSL_get_error(worker.ssl, result);
    if (worker.got.len >= worker.takes)
        answer();
    else if (err != SSL_ERROR_WANT_READ && err != SSL_ERROR_WANT_WRITE)
        hang_up();
}

/* A certificate for 127.0.0.1 that nobody vouches for. */
static SSL_CTX *make_stranger(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509V3_CTX extensions;
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509V3_set_ctx_nodb(&extensions);
    X509V3_set_ctx(&extensions, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *name = X509V3_EXT_conf_nid(NULL, &extensions, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(certificate, name, -1);
    X509_EXTENSION_free(name);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

static void resolve(const char *name, struct lookup_result *result)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    (void)name;
    inet_pton(AF_INET, "127.0.0.1", &ipv4.sin_addr);
    result->count = network_address_read((const struct sockaddr *)(const void *)&ipv4, &result->addresses[0]);
}

static int setup_group(void **state)
{
    (void)state;
    trusted = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate_chain_file(trusted, CERTIFICATE), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(trusted, CERTIFICATE, SSL_FILETYPE_PEM), 1);
    unknown = make_stranger();
    lookup_use_resolver(resolve, LOOKUP_KEPT_MS);
    return 0;
}

static int teardown_group(void **state)
{
    (void)state;
    SSL_CTX_free(trusted);
    SSL_CTX_free(unknown);
    return 0;
}

static int setup(void **state)
{
    port = 0;
    if (far_end_setup(state) != 0)
        return 1;
    listener = listen_at("127.0.0.1", 64, &port);
    far_end_step = step;
    memset(&worker, 0, sizeof(worker));
    worker.fd = -1;
    worker.context = trusted;
    worker.takes = 1;
    worker.says = STR(OK "Content-Length: 5\r\n\r\nhello");
    return 0;
}

static int teardown(void **state)
{
    if (worker.fd != -1)
        hang_up();
    buffer_fini(&worker.got);
    buffer_fini(&worker.last);
    close(listener);
    return far_end_teardown(state);
}

/* `fingerprint` NULL: by name. */
static void dial_tls(struct seen *seen, const char *host, const unsigned char *fingerprint, struct exchange_request request)
{
    char url[128];
    snprintf(url, sizeof(url), "https://%s:%d", host, port);
    struct target target = target_of(url);
    target.pinned = fingerprint != NULL;
    if (fingerprint != NULL)
        memcpy(target.fingerprint, fingerprint, sizeof(target.fingerprint));
    request.target = &target;
    if (request.head.ptr == NULL)
        request.head = GET;
    seen->exchange = exchange_dial(upstream, &request, &seeing, seen);
}

static void expect_answer(const char *host, const unsigned char *fingerprint)
{
    struct seen seen = {.exchange = NULL};
    dial_tls(&seen, host, fingerprint, (struct exchange_request){.head_ms = 5000});
    RUN_UNTIL(is_over(&seen));
    if (!seen.whole)
        fail_msg("%s: %s", host, seen.why);
    assert_true(str_eq(buffer_str(&seen.body), STR("hello")));
    forget(&seen);
}

/* A failure before any byte of the request has left; `word` stands in its cause. */
static void expect_failure(const char *host, const unsigned char *fingerprint, enum exchange_fault fault, const char *word)
{
    struct seen seen = {.exchange = NULL};
    dial_tls(&seen, host, fingerprint, (struct exchange_request){.tls_ms = 100});
    RUN_UNTIL(is_over(&seen));
    if (!seen.failed || seen.failure.fault != fault || seen.failure.delivered)
        fail_msg("%s: %s", host, seen.failed ? exchange_fault_word(seen.failure.fault) : "an answer");
    if (strstr(seen.why, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", seen.why, word);
    forget(&seen);
    assert_int_equal(worker.requests, 0);
    RUN_UNTIL(worker.fd == -1 || worker.silent || worker.plain);
}

static void test_a_certificate_for_the_name(void **state)
{
    (void)state;
    expect_answer("127.0.0.1", NULL);
    expect_answer("127.0.0.1", NULL); /* on the same connection, past the tickets that TLS has sent meanwhile */
    assert_int_equal(worker.handshakes, 1);
    assert_int_equal(worker.requests, 2);
    assert_int_equal(upstream_count(upstream).reuses, 1);
    hang_up();
    RUN_UNTIL(upstream_count(upstream).idle == 0);
    expect_answer("127.0.0.1", NULL);
}

/* The kept connection is closed, in TLS's way or without, before the loop sees it: what may be sent but once is not lost. */
static void test_a_kept_connection_that_was_closed(void **state)
{
    (void)state;
    for (int farewell = 0; farewell < 2; farewell++) {
        expect_answer("127.0.0.1", NULL);
        worker.requests = 0;
        if (farewell)
            SSL_shutdown(worker.ssl);
        hang_up();
        expect_answer("127.0.0.1", NULL);
        assert_int_equal(worker.requests, 1);
    }
}

static void test_certificates_of_others(void **state)
{
    (void)state;
    expect_failure("worker.test", NULL, EXCHANGE_TLS, "mismatch");
    worker.context = unknown;
    expect_failure("127.0.0.1", NULL, EXCHANGE_TLS, "self-signed");
}

static void test_a_fingerprint(void **state)
{
    (void)state;
    unsigned char fingerprint[EVP_MAX_MD_SIZE];
    unsigned len;
    worker.context = unknown;
    assert_int_equal(X509_digest(SSL_CTX_get0_certificate(unknown), EVP_sha256(), fingerprint, &len), 1);
    expect_answer("worker.test", fingerprint);
    fingerprint[31] ^= 1; /* the kept connection is not for this one */
    hang_up();
    worker.requests = 0;
    expect_failure("worker.test", fingerprint, EXCHANGE_TLS, "registered");
}

static void test_no_tls_at_all(void **state)
{
    (void)state;
    worker.plain = true;
    expect_failure("127.0.0.1", NULL, EXCHANGE_TLS, "wrong version");
    hang_up();
    worker.plain = false;
    worker.silent = true;
    expect_failure("127.0.0.1", NULL, EXCHANGE_TLS_TIMEOUT, "handshake");
}

static void test_a_worker_that_hangs_up_within_the_handshake(void **state)
{
    (void)state;
    struct seen seen = {.exchange = NULL};
    worker.silent = true;
    dial_tls(&seen, "127.0.0.1", NULL, (struct exchange_request){.tls_ms = 5000});
    RUN_UNTIL(worker.fd != -1);
    RUN_UNTIL(has_something(worker.fd));
    hang_up();
    RUN_UNTIL(is_over(&seen));
    assert_true(seen.failed && seen.failure.fault == EXCHANGE_TLS && !seen.failure.delivered);
    forget(&seen);
}

/* Of an answer that ends with its connection, only TLS's own farewell says that it is whole. */
static void test_the_end_of_a_connection(void **state)
{
    (void)state;
    worker.says = STR(OK "\r\nuntil the end");
    for (int cut = 0; cut < 2; cut++) {
        struct seen seen = {.exchange = NULL};
        worker.farewell = !cut;
        worker.cut = cut;
        dial_tls(&seen, "127.0.0.1", NULL, (struct exchange_request){.safe = true});
        RUN_UNTIL(is_over(&seen));
        assert_true(str_eq(buffer_str(&seen.body), STR("until the end")));
        assert_true(seen.whole == !cut);
        assert_true(!cut || (seen.failure.fault == EXCHANGE_CUT && seen.failure.answered));
        forget(&seen);
    }
}

/* TLS's farewell ends one direction, too. */
static void test_another_protocol_in_one_direction(void **state)
{
    (void)state;
    struct seen seen = {.exchange = NULL};
    struct str pieces[] = {STR("to worker")};
    worker.says = STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbye");
    dial_tls(&seen, "127.0.0.1", NULL, (struct exchange_request){.upgrade = true});
    RUN_UNTIL(seen.answers == 1);
    worker.takes = 1000;
    SSL_shutdown(worker.ssl);
    RUN_UNTIL(is_over(&seen));
    assert_true(seen.whole);
    assert_true(exchange_send(seen.exchange, pieces, 1, false));
    RUN_UNTIL(str_eq(buffer_str(&worker.got), pieces[0]));
    assert_true(exchange_send(seen.exchange, NULL, 0, true));
    RUN_UNTIL(worker.fd == -1);
    assert_false(seen.failed);
    forget(&seen);
}

/* Megabytes both ways, in pieces of any size. */
static void test_large_bodies(void **state)
{
    (void)state;
    enum { SIZE = 3 << 20 };
    char head[128];
    struct buffer big = BUFFER_INIT;
    struct seen seen = {.exchange = NULL};
    int len = snprintf(head, sizeof(head), OK "Content-Length: %d\r\n\r\n", SIZE);
    buffer_append(&big, (struct str){head, (size_t)len});
    for (size_t i = 0; i < SIZE; i++)
        *buffer_reserve(&big, 1) = (char)('a' + i * 7 % 26 + (i >> 15) % 5), big.len++;
    struct str body = {big.ptr + len, SIZE};
    worker.takes = GET.len + SIZE;
    worker.says = buffer_str(&big);
    dial_tls(&seen, "127.0.0.1", NULL, (struct exchange_request){.body = {body.ptr, 10}, .more = true});
    RUN_UNTIL(seen.writables == 1);
    struct str pieces[3] = {{body.ptr + 10, 100}, {body.ptr + 110, 20000}, {body.ptr + 20110, SIZE - 20110}};
    exchange_send(seen.exchange, pieces, 3, true);
    RUN_UNTIL(worker.requests == 1);
    assert_int_equal(worker.last.len, worker.takes);
    assert_true(memcmp(worker.last.ptr + GET.len, body.ptr, SIZE) == 0);
    RUN_UNTIL(is_over(&seen));
    assert_true(seen.whole);
    assert_true(str_eq(buffer_str(&seen.body), body));
    forget(&seen);
    buffer_fini(&big);
}

static void test_who_frees_within_the_handshake(void **state)
{
    (void)state;
    struct seen seen = {.exchange = NULL};
    worker.silent = true;
    dial_tls(&seen, "127.0.0.1", NULL, (struct exchange_request){.safe = true});
    RUN_UNTIL(worker.fd != -1);
    RUN_UNTIL(has_something(worker.fd));
    forget(&seen);
    worker.silent = false;
    RUN_UNTIL(worker.fd == -1);
    assert_int_equal(upstream_count(upstream).busy, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    /* libssl reads at its first use whom to trust; and of an environment nothing is changed while a program runs */
    if (argc == 1) {
        char *again[] = {argv[0], "again", NULL};
        char leaks[256];
        snprintf(leaks, sizeof(leaks), "LSAN_OPTIONS=%s", getenv("LSAN_OPTIONS") != NULL ? getenv("LSAN_OPTIONS") : "");
        char *environment[] = {"SSL_CERT_FILE=" CERTIFICATE, leaks, NULL};
        execve("/proc/self/exe", again, environment);
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(test_a_certificate_for_the_name),
        TEST(test_a_kept_connection_that_was_closed),
        TEST(test_certificates_of_others),
        TEST(test_a_fingerprint),
        TEST(test_no_tls_at_all),
        TEST(test_a_worker_that_hangs_up_within_the_handshake),
        TEST(test_the_end_of_a_connection),
        TEST(test_another_protocol_in_one_direction),
        TEST(test_large_bodies),
        TEST(test_who_frees_within_the_handshake),
    };
    return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
