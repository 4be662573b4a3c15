/* SPDX-License-Identifier: MIT */
/*
 * For tests in Python: the chains of hashes of the prompts of request bodies (message/prompt_scan).
 *
 *     chains BODY_FILE…
 *
 * A line a file: the bytes that are hashed of its prompt, and how many of them the file before it begins with too; `none` where there
 * is no prompt.
 */
#include <stdio.h>

#include "message/prompt_scan.h"

static bool scan(const char *path, struct prompt_chain *out)
{
    char chunk[1000];
    size_t n;
    FILE *f = fopen(path, "rb");
    struct prompt_scan *s = prompt_scan_create(1);
    *out = (struct prompt_chain){0};
    while (f && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
        prompt_scan_feed(s, chunk, n);
    bool found = f && prompt_scan_end(s, out);
    if (f)
        fclose(f);
    prompt_scan_destroy(s);
    return found;
}

int main(int argc, char **argv)
{
    struct prompt_chain before = {0};
    for (int i = 1; i < argc; i++) {
        struct prompt_chain chain;
        if (scan(argv[i], &chain))
            printf("%ju %ju\n", (uintmax_t)chain.bytes,
                   (uintmax_t)prompt_chain_common(&before, &chain));
        else
            printf("none\n");
        prompt_chain_finish(&before);
        before = chain;
    }
    prompt_chain_finish(&before);
    return 0;
}
