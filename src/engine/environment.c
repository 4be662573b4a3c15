/* SPDX-License-Identifier: MIT */
#include "engine/environment.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const char *const passing_names[] = {
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TMPDIR",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "LD_LIBRARY_PATH",
    "GLIBC_TUNABLES",
    "DRI_PRIME",
    "NEOReadDebugKeys",
};

/* Which devices are visible and how their runtimes behave: CUDA, ROCm, OpenMP and BLAS, Vulkan and its drivers,
 * SYCL and Level Zero, OpenCL, MUSA, CANN; how memory is allocated. */
static const char *const passing_prefixes[] = {
    "LC_",     "GGML_",      "CUDA_",   "NVIDIA_",   "HIP_",    "ROCR_",   "ROCM_", "ROCBLAS_",
    "HSA_",    "HIPBLASLT_", "GPU_",    "OMP_",      "GOMP_",   "KMP_",    "MKL_",  "OPENBLAS_",
    "ONEAPI_", "SYCL_",      "ZE_",     "VK_",       "MESA_",   "AMD_",    "RADV_", "__NV_",
    "__GL_",   "__VK_",      "MIOPEN_", "NCCL_",     "RCCL_",   "BLIS_",   "ZES_",  "UR_",
    "IGC_",    "OCL_",       "MUSA_",   "MTHREADS_", "ASCEND_", "MALLOC_", "MTMD_",
};

static size_t name_length(const char *text)
{
    return strcspn(text, "=");
}

static bool same_name(const char *a, const char *b)
{
    size_t n = name_length(a);
    return n == name_length(b) && memcmp(a, b, n) == 0;
}

static bool is_one_of(const char *text, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (same_name(text, names[i]))
            return true;
    return false;
}

bool environment_passes(const char *text)
{
    if (is_one_of(text, passing_names, sizeof passing_names / sizeof *passing_names))
        return true;
    for (size_t i = 0; i < sizeof passing_prefixes / sizeof *passing_prefixes; i++)
        if (strncmp(text, passing_prefixes[i], strlen(passing_prefixes[i])) == 0)
            return true;
    return false;
}

void environment_set(struct strv *out, const char *text)
{
    for (size_t i = 0; i < out->n; i++) {
        if (same_name(out->v[i], text)) {
            free(out->v[i]);
            out->v[i] = mem_strdup(text);
            return;
        }
    }
    strv_add(out, text);
}

void environment_compose(struct strv *out, char *const *parent, const struct strv *extra)
{
    for (; parent && *parent; parent++)
        if (strchr(*parent, '=') && environment_passes(*parent))
            environment_set(out, *parent);
    for (size_t i = 0; extra && i < extra->n; i++)
        if (strchr(extra->v[i], '='))
            environment_set(out, extra->v[i]);
}

static const char *value_in(const char *text, const char *name)
{
    size_t len = strlen(name);
    return strncmp(text, name, len) == 0 && text[len] == '=' ? text + len + 1 : NULL;
}

const char *environment_get(const struct strv *extra, char *const *parent, const char *name)
{
    const char *found = NULL;
    if (!environment_passes(name))
        parent = NULL;
    for (; parent && *parent; parent++) {
        const char *value = value_in(*parent, name);
        found = value ? value : found;
    }
    for (size_t i = 0; extra && i < extra->n; i++) {
        const char *value = value_in(extra->v[i], name);
        found = value ? value : found;
    }
    return found;
}

void environment_copy(struct strv *out, char *const *parent, const char *const *names, size_t n)
{
    for (; parent && *parent; parent++)
        if (strchr(*parent, '=') && is_one_of(*parent, names, n))
            environment_set(out, *parent);
}
