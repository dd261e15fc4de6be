/*
 * libcurl, loaded when a command needs it. If it were linked, it and its thirty libraries would cost every coordinator 5 MB of
 * memory, and every start some milliseconds.
 */
#ifndef CLI_CURL_LIBRARY_H
#define CLI_CURL_LIBRARY_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#undef curl_easy_getinfo
#undef curl_easy_setopt
#include <stdbool.h>

#define CURL_FUNCTIONS(X)                                                                                                          \
    X(curl_easy_cleanup)                                                                                                           \
    X(curl_easy_getinfo)                                                                                                           \
    X(curl_easy_init)                                                                                                              \
    X(curl_easy_perform)                                                                                                           \
    X(curl_easy_setopt)                                                                                                            \
    X(curl_easy_strerror)                                                                                                          \
    X(curl_free)                                                                                                                   \
    X(curl_global_cleanup)                                                                                                         \
    X(curl_global_init)                                                                                                            \
    X(curl_slist_append)                                                                                                           \
    X(curl_slist_free_all)                                                                                                         \
    X(curl_url)                                                                                                                    \
    X(curl_url_cleanup)                                                                                                            \
    X(curl_url_get)                                                                                                                \
    X(curl_url_set)

/* The functions of libcurl, after curl_library_load. */
extern struct curl_library {
#define X(name) __typeof__(name) *name;
    CURL_FUNCTIONS(X)
#undef X
} libcurl;

/* Loads libcurl. False if it is missing or lacks a function; `why` then says what to do. */
bool curl_library_load(char why[256]);

#endif
