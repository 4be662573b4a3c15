/* SPDX-License-Identifier: MIT */
/* The GGUF reader on any bytes: it may refuse them, and must say why. What it accepts is text that
 * can be printed, and the same again when read a second time. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/gguf.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf_info info, again;
    struct error err = {0};
    int rc = gguf_parse(data, size, &info, &err);
    check(rc <= 0 && (rc == 0) == (err.text[0] == '\0'));
    if (rc < 0)
        return 0;
    check(text_clean(info.architecture) && text_clean(info.name) && text_clean(info.type));
    check(gguf_parse(data, size, &again, &err) == 0 && info.n_params == again.n_params &&
          info.tensor_bytes == again.tensor_bytes && strcmp(info.name, again.name) == 0);
    return 0;
}
