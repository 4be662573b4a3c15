/* SPDX-License-Identifier: MIT */
#include "server/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>
#include <xxhash.h>

#include "base/memory.h"

#define HEAD ((off_t)1 << 20) /* metadata and the list of tensors, or their beginning */
#define PIECE ((off_t)64 * 1024)
#define PIECES 64
#define KNOWN 256 /* files whose hashes are remembered */

/* What changes when a file does. */
struct version {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec written, changed;
};

struct known {
    struct version version;
    uint64_t hash[2];
};

static struct {
    uv_once_t once;
    uv_mutex_t lock;
    struct known file[KNOWN]; /* the oldest is replaced */
    unsigned next;
} known = {.once = UV_ONCE_INIT};

static void init_known(void)
{
    if (uv_mutex_init(&known.lock))
        abort();
}

static struct version version_of(const struct stat *st)
{
    struct version v;
    memset(&v, 0, sizeof v); /* its padding is compared, too */
    v.device = st->st_dev;
    v.inode = st->st_ino;
    v.size = st->st_size;
    v.written = st->st_mtim;
    v.changed = st->st_ctim;
    return v;
}

static bool recall(const struct version *v, uint64_t out[2])
{
    bool found = false;
    uv_mutex_lock(&known.lock);
    for (unsigned i = 0; i < KNOWN && !found; i++) {
        found = memcmp(&known.file[i].version, v, sizeof *v) == 0;
        if (found)
            memcpy(out, known.file[i].hash, sizeof known.file[i].hash);
    }
    uv_mutex_unlock(&known.lock);
    return found;
}

static void remember(const struct version *v, const uint64_t hash[2])
{
    uv_mutex_lock(&known.lock);
    struct known *k = &known.file[known.next++ % KNOWN];
    k->version = *v;
    memcpy(k->hash, hash, sizeof k->hash);
    uv_mutex_unlock(&known.lock);
}

static int add_range(XXH3_state_t *state, int fd, off_t from, off_t to)
{
    char *piece = mem_try_realloc(NULL, (size_t)PIECE);
    int rc = piece ? 0 : -ENOMEM;
    while (!rc && from < to) {
        ssize_t n = pread(fd, piece, (size_t)(to - from < PIECE ? to - from : PIECE), from);
        if (n <= 0)
            rc = n ? -errno : -EIO; /* it has become shorter */
        else
            XXH3_128bits_update(state, piece, (size_t)n);
        from += n;
    }
    free(piece);
    return rc;
}

static int read_samples(XXH3_state_t *state, int fd, off_t size)
{
    off_t rest = size - HEAD;
    XXH3_128bits_update(state, &size, sizeof size);
    int rc = add_range(state, fd, 0, rest > 0 ? HEAD : size);
    if (rest <= PIECES * PIECE)
        return rc ? rc : add_range(state, fd, HEAD, size);
    for (off_t i = 1; !rc && i <= PIECES; i++) {
        off_t end = HEAD + rest / PIECES * i + (i == PIECES ? rest % PIECES : 0);
        rc = add_range(state, fd, end - PIECE, end);
    }
    return rc;
}

static int hash_file(int fd, const struct version *v, uint64_t out[2])
{
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return -ENOMEM;
    XXH3_128bits_reset(state);
    int rc = read_samples(state, fd, v->size);
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    out[0] = hash.low64;
    out[1] = hash.high64;
    return rc;
}

int content_hash(const char *path, uint64_t out[2])
{
    struct stat st;
    uv_once(&known.once, init_known);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int rc = fstat(fd, &st) ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
    if (!rc) {
        struct version v = version_of(&st);
        if (!recall(&v, out)) {
            rc = hash_file(fd, &v, out);
            if (!rc)
                remember(&v, out);
        }
    }
    close(fd);
    return rc;
}
