/* SPDX-License-Identifier: MIT */
/*
 * The GGUF files of a folder as names and stat() results, sorted so that the shards of one model
 * lie side by side: a model is then a run of them. What a name means is llama.cpp's convention.
 */
#ifndef HOSTLER_CATALOG_FILES_H
#define HOSTLER_CATALOG_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

struct folder_model;

struct file {
    char *name;     /* relative to the folder */
    size_t stem;    /* length of what all shards have in common; the whole name when not split */
    unsigned count; /* shards; 0 when not split */
    unsigned no;    /* from 1 */
    bool missing;   /* a link to it is all there is; what follows is 0 then */
    uint64_t size;
    time_t mtime;
    uint64_t stamp; /* stamp_of() */
};

struct files {
    struct file *v;
    size_t n, cap;
};

void files_finish(struct files *files);
/* Copies the name. `st` is NULL for a link that points to nothing. */
void files_add(struct files *files, const char *name, const struct stat *st);
/* By stem, number of shards, shard. */
void files_sort(struct files *files);
/* How many files the model has that begins at `i`; they follow each other once sorted. */
size_t files_run(const struct files *files, size_t i);
/* Fills all of `m` but id and companions from the `n` files of a run in `dir`. */
void files_fill(struct folder_model *m, const char *dir, const struct file *run, size_t n);

/* Whether an error (a negative errno) is temporary and says nothing about the file: too many open files, an
 * I/O error. A reading that meets one is discarded. Others (it is gone, may not be read, is a loop of
 * links) are a property of the one file or folder, which is then left out. */
bool file_error_passes(int error);

/* Reads no, count and stem out of f->name. */
void file_parse_shard(struct file *f);
/* The name of the model's shard `no`, whether or not that exists; the file's own name when it is
 * not split. The caller frees it. */
char *file_shard_name(const struct file *f, unsigned no);
/* Length of `name` without `.gguf` and what numbers a shard; `*no` is 1 when nothing numbers it.
 * Numbers that make no sense (00000, 3 of 2) count here, and `-OF-` too, as in llama.cpp. */
size_t file_base(const char *name, unsigned *no);

/* `x.gguf`, in any folder; `._x.gguf` is a stub of macOS. */
bool file_is_gguf(const char *name);
bool file_is_mmproj(const char *name);
bool file_is_draft(const char *name);       /* has a draft prefix in front */
bool file_mentions_draft(const char *name); /* … anywhere */

/* Differs when the file does (device, inode, size, time of change); never 0. */
uint64_t stamp_of(const struct stat *st);
/* A stamp of several files: 0 to begin with. */
uint64_t stamp_add(uint64_t stamp, uint64_t more);

#endif
