/* SPDX-License-Identifier: MIT */
#include "base/curl_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

static struct curl_library library;
static void *handle; /* never closed: its libraries register things that run at exit */

static int find_functions(struct error *err)
{
#define FIND(name)                                                                                 \
    if (!(library.name = (__typeof__(library.name))dlsym(handle, #name)))                          \
        return error_set(err, -ELIBACC, "libcurl has no " #name ": install the package libcurl4");
    CURL_LIBRARY_FUNCTIONS(FIND)
    return 0;
}

const struct curl_library *curl_library_load(struct error *err)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    for (size_t i = 0; !handle && i < sizeof names / sizeof *names; i++)
        handle = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    if (handle)
        return find_functions(err) ? NULL : &library;
    error_set(err, -ELIBACC,
              "libcurl is missing, without which hostler cannot talk to a server: install the "
              "package libcurl4 (%s)",
              dlerror());
    return NULL;
}
