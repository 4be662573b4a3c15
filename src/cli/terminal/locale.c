/* SPDX-License-Identifier: MIT */
#include "cli/terminal/locale.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

/* A terminal reached by SSH often comes without a locale that this machine has, but says in the
 * variables what it is: C.UTF-8 is everywhere. */
bool locale_set(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *wanted = NULL;
    for (size_t i = 0; !(wanted && *wanted) && i < sizeof variables / sizeof *variables; i++)
        wanted = getenv(variables[i]);
    if (!setlocale(LC_CTYPE, "") && wanted &&
        (strcasestr(wanted, "utf-8") || strcasestr(wanted, "utf8")))
        setlocale(LC_CTYPE, "C.UTF-8");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
