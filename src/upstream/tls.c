#include "upstream/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define RECORD_MAX 16384

static SSL_CTX *context;
static atomic_bool ready; /* `context` is made, and no longer changes */

static void *make_context(void *unused)
{
    (void)unused;
    static const unsigned char protocols[] = "\x08http/1.1";
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        abort();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_protos(context, protocols, sizeof(protocols) - 1);
    SSL_CTX_set_default_verify_paths(context); /* if it fails, no certificate is trusted: the first request fails and says so */
    ERR_clear_error();
    atomic_store(&ready, true);
    return NULL;
}

bool tls_prepare(void)
{
    static atomic_flag begun = ATOMIC_FLAG_INIT;
    pthread_t id;
    if (atomic_load(&ready) || atomic_flag_test_and_set(&begun))
        return atomic_load(&ready);
    if (pthread_create(&id, NULL, make_context, NULL) == 0)
        pthread_detach(id);
    else
        make_context(NULL);
    return atomic_load(&ready);
}

SSL *tls_new(int fd, const struct target *target)
{
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        abort();
    SSL_set_connect_state(ssl);
    if (!target->is_address)
        SSL_set_tlsext_host_name(ssl, target->host);
    if (target->pinned)
        return ssl;
    X509_VERIFY_PARAM *check = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(check, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int known = target->is_address ? X509_VERIFY_PARAM_set1_ip_asc(check, target->host)
                                   : X509_VERIFY_PARAM_set1_host(check, target->host, 0);
    if (known != 1)
        abort();
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    return ssl;
}

static bool has_fingerprint(const SSL *ssl, const struct target *target)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    const X509 *certificate = SSL_get0_peer_certificate(ssl);
    return certificate != NULL && X509_digest(certificate, EVP_sha256(), digest, &len) == 1 && len == sizeof(target->fingerprint) &&
           memcmp(digest, target->fingerprint, len) == 0;
}

/* Returns what a call that did not succeed waits for; TLS_NOTHING: it has failed. */
static enum tls_wants wants_of(const SSL *ssl, int result, int *err)
{
    *err = SSL_get_error(ssl, result);
    return *err == SSL_ERROR_WANT_READ ? TLS_READABLE : *err == SSL_ERROR_WANT_WRITE ? TLS_WRITABLE : TLS_NOTHING;
}

static const char *explain(const SSL *ssl)
{
    long verdict = SSL_get_verify_result(ssl);
    if (verdict != X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
        return X509_verify_cert_error_string(verdict);
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason != NULL ? reason : "the worker ended the connection";
}

bool tls_shake_hands(SSL *ssl, const struct target *target, enum tls_wants *wants, const char **why)
{
    ERR_clear_error();
    int err, result = SSL_do_handshake(ssl);
    *wants = TLS_NOTHING;
    if (result != 1) {
        *wants = wants_of(ssl, result, &err);
        *why = explain(ssl);
        return *wants != TLS_NOTHING;
    }
    *why = "the certificate is not the one that the worker registered";
    return !target->pinned || has_fingerprint(ssl, target);
}

ssize_t tls_read(SSL *ssl, void *room, size_t size, enum tls_wants *wants)
{
    ERR_clear_error();
    int err, result = SSL_read(ssl, room, (int)size);
    *wants = TLS_NOTHING;
    if (result > 0)
        return result;
    *wants = wants_of(ssl, result, &err);
    if (err == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = *wants != TLS_NOTHING ? EAGAIN : ECONNRESET;
    return -1;
}

ssize_t tls_write(SSL *ssl, const struct iovec pieces[], size_t count, enum tls_wants *wants)
{
    /* joins a head and a small body into one record; a retry after EAGAIN joins the same bytes again */
    char record[RECORD_MAX];
    const void *bytes = pieces[0].iov_base;
    size_t size = pieces[0].iov_len < RECORD_MAX ? pieces[0].iov_len : RECORD_MAX;
    if (count > 1 && size < RECORD_MAX) {
        size = 0;
        for (size_t i = 0; i < count && size < RECORD_MAX; i++) {
            size_t room = RECORD_MAX - size, part = pieces[i].iov_len < room ? pieces[i].iov_len : room;
            memcpy(record + size, pieces[i].iov_base, part);
            size += part;
        }
        bytes = record;
    }
    ERR_clear_error();
    int err, result = SSL_write(ssl, bytes, (int)size);
    *wants = TLS_NOTHING;
    if (result > 0)
        return result;
    *wants = wants_of(ssl, result, &err);
    errno = *wants != TLS_NOTHING ? EAGAIN : EPIPE;
    return -1;
}
