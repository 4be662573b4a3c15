/* SPDX-License-Identifier: MIT */
/* The part of llama-server's help text that tests of its memory need. */
#ifndef HOSTLER_TESTS_HELP_TEST_H
#define HOSTLER_TESTS_HELP_TEST_H

static const char smol_help[] = "-c,    --ctx-size N\n"
                                "-ub,   --ubatch-size N\n"
                                "-fa,   --flash-attn MODE\n"
                                "-ctk,  --cache-type-k TYPE\n"
                                "-ctv,  --cache-type-v TYPE\n"
                                "-ngl,  --n-gpu-layers N\n"
                                "--mmap, --no-mmap\n"
                                "--mlock\n"
                                "-lm,   --load-mode MODE\n"
                                "-m,    --model FNAME\n";

#endif
