/* SPDX-License-Identifier: MIT */
/* The part of llama-server's help text that tests of its memory need. */
#ifndef HOSTLER_TESTS_HELP_TEST_H
#define HOSTLER_TESTS_HELP_TEST_H

static const char smol_help[] =
    "-c,    --ctx-size N\n"
    "-ub,   --ubatch-size N\n"
    "-fa,   --flash-attn MODE\n"
    "-ctk,  --cache-type-k TYPE\n"
    "-ctv,  --cache-type-v TYPE\n"
    "-ngl,  --n-gpu-layers N\n"
    "--mmap, --no-mmap\n"
    "--mlock\n"
    "-lm,   --load-mode MODE\n"
    "-np,   --parallel N\n"
    "-kvu,  --kv-unified, -no-kvu, --no-kv-unified\n"
    "--swa-full\n"
    "-kvo,  --kv-offload, -nkvo, --no-kv-offload\n"
    "-dev,  --device DEVICES\n"
    "-ot,   --override-tensor LIST\n"
    "-cmoe, --cpu-moe\n"
    "-ncmoe, --n-cpu-moe N\n"
    "-sm,   --split-mode MODE\n"
    "-ts,   --tensor-split LIST\n"
    "-mg,   --main-gpu INDEX\n"
    "-fit,  --fit MODE\n"
    "-mm,   --mmproj FILE\n"
    "--mmproj-auto, --no-mmproj, --no-mmproj-auto\n"
    "--mmproj-offload, --no-mmproj-offload\n"
    "-mmdev, --mmproj-device DEVICE\n"
    "--spec-draft-device, -devd, --device-draft DEVICES\n"
    "--spec-draft-ngl, -ngld, --gpu-layers-draft, --n-gpu-layers-draft N\n"
    "--spec-draft-model, -md, --model-draft FNAME\n"
    "--embedding, --embeddings\n"
    "--pooling TYPE\n"
    "-m,    --model FNAME\n";

#endif
