/* SPDX-License-Identifier: MIT */
#include "server/prompt_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/json_text.h"
#include "base/whole_file.h"

/* Of NUMBER.json. Another version's files are removed at the start, also when a newer hostler wrote them: compressed
 * data, for one, would be a new version. */
#define VERSION 1
#define PIECE ((size_t)512 * 1024) /* of data that is read at once */
/* Of NUMBER.json: a chain has at most 8,192 points of 32 characters, and names are short. */
#define INDEX_BYTES_MAX ((size_t)512 * 1024)

struct prompt_file *prompt_file_create(const char *identity, const char *model,
                                       const struct prompt_chain *chain)
{
    struct prompt_file *f = mem_try_zalloc(sizeof *f);
    if (!f || prompt_chain_copy(&f->chain, chain)) {
        free(f);
        return NULL;
    }
    f->identity = mem_strdup(identity);
    f->model = mem_strdup(model);
    return f;
}

void prompt_file_destroy(struct prompt_file *f)
{
    if (!f)
        return;
    prompt_chain_finish(&f->chain);
    free(f->identity);
    free(f->model);
    free(f);
}

/* --- names -------------------------------------------------------------------------------------- */

static const char *const endings[] = {
    [PROMPT_DATA] = ".data", [PROMPT_INDEX] = ".json", [PROMPT_NEXT] = ".json.next"};

const char *prompt_file_name(char *out, uint64_t number, enum prompt_part part)
{
    snprintf(out, PROMPT_NAME_SIZE, "%016" PRIx64 "%s", number, endings[part]);
    return out;
}

bool prompt_file_parse_name(const char *name, uint64_t *number, enum prompt_part *part)
{
    if (strspn(name, "0123456789abcdef") != 16)
        return false;
    *number = strtoull(name, NULL, 16);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcmp(name + 16, endings[i]) == 0) {
            *part = (enum prompt_part)i;
            return true;
        }
    return false;
}

/* --- NUMBER.json -------------------------------------------------------------------------------- */

static json_t *hash_to_json(struct prompt_hash h)
{
    char text[33];
    snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, h.high, h.low);
    return json_string(text);
}

static bool hash_from_json(struct prompt_hash *h, const json_t *json)
{
    const char *text = json_string_value(json);
    return text && strlen(text) == 32 &&
           sscanf(text, "%16" SCNx64 "%16" SCNx64, &h->high, &h->low) == 2;
}

/* Of the members, as they are written. */
static int sum_of(const json_t *members, struct prompt_hash *out)
{
    struct buf text;
    buf_init(&text, INDEX_BYTES_MAX);
    int rc = json_text_append(&text, members, JSON_COMPACT);
    if (!rc) {
        XXH128_hash_t sum = XXH3_128bits(text.data, text.len);
        *out = (struct prompt_hash){sum.low64, sum.high64};
    }
    buf_finish(&text);
    return rc;
}

static json_t *members_of(const struct prompt_file *f)
{
    json_t *o = json_object();
    json_object_set_new(o, "version", json_integer(VERSION));
    json_object_set_new(o, "model", json_string(f->model));
    json_object_set_new(o, "identity", json_string(f->identity));
    json_object_set_new(o, "tokens", json_integer((json_int_t)f->tokens));
    json_object_set_new(o, "token_ms", json_real(f->token_ms));
    json_object_set_new(o, "created", json_real(f->created));
    json_object_set_new(o, "bytes", json_integer((json_int_t)f->bytes));
    json_object_set_new(o, "checksum", hash_to_json(f->checksum));
    json_object_set_new(o, "chain", prompt_chain_to_json(&f->chain));
    return o;
}

static int encode(const struct prompt_file *f, struct buf *text)
{
    struct prompt_hash sum;
    json_text_begin();
    json_t *o = members_of(f);
    int rc = sum_of(o, &sum);
    if (!rc)
        json_object_set_new(o, "sum", hash_to_json(sum)); /* of all before it */
    if (!rc)
        rc = json_text_append(text, o, JSON_COMPACT);
    json_decref(o);
    return json_text_was_incomplete() ? -ENOMEM : rc;
}

static bool is_sound(json_t *o)
{
    struct prompt_hash said, is;
    bool has_sum = json_integer_value(json_object_get(o, "version")) == VERSION &&
                   hash_from_json(&said, json_object_get(o, "sum"));
    if (!has_sum)
        return false;
    json_object_del(o, "sum");
    return sum_of(o, &is) == 0 && said.low == is.low && said.high == is.high;
}

static int read_numbers(struct prompt_file *f, const json_t *o)
{
    json_int_t tokens = json_integer_value(json_object_get(o, "tokens"));
    json_int_t bytes = json_integer_value(json_object_get(o, "bytes"));
    f->tokens = (uint64_t)tokens;
    f->bytes = (uint64_t)bytes;
    f->token_ms = json_real_value(json_object_get(o, "token_ms"));
    f->used = f->created = json_real_value(json_object_get(o, "created"));
    bool checksum = hash_from_json(&f->checksum, json_object_get(o, "checksum"));
    return checksum && tokens > 0 && bytes > 0 ? 0 : -EBADMSG;
}

static int decode(json_t *o, struct prompt_file **out)
{
    struct prompt_chain chain = {0};
    const char *identity = json_string_value(json_object_get(o, "identity"));
    const char *model = json_string_value(json_object_get(o, "model"));
    if (!is_sound(o) || !identity || !model)
        return -EBADMSG;
    int rc = prompt_chain_from_json(&chain, json_object_get(o, "chain"));
    if (rc)
        return rc == -EINVAL ? -EBADMSG : rc;
    struct prompt_file *f = prompt_file_create(identity, model, &chain);
    prompt_chain_finish(&chain);
    rc = f ? read_numbers(f, o) : -ENOMEM;
    if (rc)
        prompt_file_destroy(f);
    else
        *out = f;
    return rc;
}

int prompt_file_write(int folder, const struct prompt_file *f)
{
    char name[PROMPT_NAME_SIZE];
    struct buf text;
    buf_init(&text, INDEX_BYTES_MAX);
    int rc = encode(f, &text);
    if (!rc)
        rc = whole_file_write(folder, prompt_file_name(name, f->number, PROMPT_INDEX), text.data,
                              text.len);
    buf_finish(&text);
    return rc;
}

int prompt_file_read(int folder, uint64_t number, struct prompt_file **out)
{
    char name[PROMPT_NAME_SIZE];
    struct buf text;
    json_t *o = NULL;
    buf_init(&text, INDEX_BYTES_MAX);
    int rc = whole_file_read(folder, prompt_file_name(name, number, PROMPT_INDEX), &text);
    if (!rc)
        rc = json_text_parse(&o, text.data, text.len, 8 * INDEX_BYTES_MAX, NULL);
    if (!rc)
        rc = decode(o, out);
    if (!rc)
        (*out)->number = number;
    json_decref(o);
    buf_finish(&text);
    return rc == -EINVAL || rc == -ENOBUFS || rc == -ELOOP ? -EBADMSG : rc;
}

/* Something else may have its name: a folder goes if it is empty. */
static int remove_one(int folder, uint64_t number, enum prompt_part part)
{
    char name[PROMPT_NAME_SIZE];
    prompt_file_name(name, number, part);
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return -errno;
    unlinkat(folder, name, AT_REMOVEDIR);
    return 0;
}

int prompt_file_remove(int folder, uint64_t number)
{
    int rc = remove_one(folder, number, PROMPT_INDEX);
    return rc ? rc : remove_one(folder, number, PROMPT_DATA);
}

/* --- NUMBER.data -------------------------------------------------------------------------------- */

struct prompt_stamp prompt_stamp_of(const struct stat *st)
{
    return (struct prompt_stamp){.device = st->st_dev,
                                 .inode = st->st_ino,
                                 .size = (uint64_t)st->st_size,
                                 .modified = st->st_mtim,
                                 .changed = st->st_ctim};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool prompt_stamp_equal(const struct prompt_stamp *a, const struct prompt_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

int prompt_file_open_data(int folder, uint64_t number, struct stat *st)
{
    char name[PROMPT_NAME_SIZE];
    int fd = openat(folder, prompt_file_name(name, number, PROMPT_DATA),
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ELOOP ? -EBADMSG : -errno;
    int rc = fstat(fd, st) ? -errno : S_ISREG(st->st_mode) ? 0 : -EBADMSG;
    if (!rc)
        return fd;
    close(fd);
    return rc;
}

static int read_pieces(int from, uint64_t size, int to, char *piece, XXH3_state_t *sum)
{
    uint64_t total = 0;
    ssize_t n;
    while ((n = read(from, piece, PIECE)) > 0) {
        total += (uint64_t)n;
        if (total > size)
            return -EBADMSG;
        XXH3_128bits_update(sum, piece, (size_t)n);
        int rc = to >= 0 ? whole_file_write_all(to, piece, (size_t)n) : 0;
        if (rc)
            return rc;
    }
    if (n < 0)
        return -errno;
    return total == size ? 0 : -EBADMSG;
}

int prompt_data_read(int from, uint64_t size, int to, struct prompt_hash *checksum)
{
    XXH3_state_t *sum = XXH3_createState();
    char *piece = malloc(PIECE);
    int rc = sum && piece && XXH3_128bits_reset(sum) == XXH_OK ? 0 : -ENOMEM;
    if (!rc)
        posix_fadvise(from, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (!rc)
        rc = read_pieces(from, size, to, piece, sum);
    if (!rc) {
        XXH128_hash_t digest = XXH3_128bits_digest(sum);
        *checksum = (struct prompt_hash){digest.low64, digest.high64};
    }
    XXH3_freeState(sum);
    free(piece);
    return rc;
}
