/* SPDX-License-Identifier: MIT */
/* libcurl, loaded when it is first needed, so that a daemon that sends nothing by it does not carry it. */
#ifndef HOSTLER_BASE_CURL_LIBRARY_H
#define HOSTLER_BASE_CURL_LIBRARY_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/error.h"

#define CURL_LIBRARY_FUNCTIONS(X)                                                                  \
    X(curl_global_init)                                                                            \
    X(curl_easy_init)                                                                              \
    X(curl_easy_setopt)                                                                            \
    X(curl_easy_perform)                                                                           \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_reset)                                                                             \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_strerror)                                                                          \
    X(curl_multi_init)                                                                             \
    X(curl_multi_add_handle)                                                                       \
    X(curl_multi_remove_handle)                                                                    \
    X(curl_multi_perform)                                                                          \
    X(curl_multi_poll)                                                                             \
    X(curl_multi_info_read)                                                                        \
    X(curl_multi_cleanup)                                                                          \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)

#define CURL_LIBRARY_POINTER(name) __typeof__(name) *(name);

/* Its functions, by their own names. */
struct curl_library {
    CURL_LIBRARY_FUNCTIONS(CURL_LIBRARY_POINTER)
};

/* NULL with `err` set: it is not installed. Never unloaded. By one thread, before others use it. */
const struct curl_library *curl_library_load(struct error *err);

#endif
