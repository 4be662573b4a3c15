/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *err, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return code;
}

bool error_is_ours(int rc)
{
    static const int exhausted[] = {EMFILE, ENFILE, EAGAIN, ENOMEM, ENOBUFS};
    for (size_t i = 0; i < sizeof exhausted / sizeof *exhausted; i++)
        if (rc == -exhausted[i])
            return true;
    return false;
}
