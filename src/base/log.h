/* SPDX-License-Identifier: MIT */
/*
 * The daemon's log: one line an event on stderr, as text or as JSON, and in a file if there is one.
 * Lines of one call never mix.
 *
 * Where stderr is systemd's journal, each line begins with its priority (`<3>` for an error, see
 * sd-daemon(3)), which the journal takes off, and text has no time, which the journal notes itself.
 */
#ifndef HOSTLER_BASE_LOG_H
#define HOSTLER_BASE_LOG_H

#include "base/error.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

void log_setup(enum log_level level, enum log_format format);
/* Appends every line to the file at `path`, too; opened again when there is one already, for whoever
 * moves it away. On error, a negative errno with a text, lines go where they went before. NULL: to
 * no file. */
int log_to_file(const char *path, struct error *err) __attribute__((warn_unused_result));
/* Parses `error`, `warn`, `info` or `debug`; negative when it is none of them. */
int log_level_parse(const char *text);

/* What a program says that ends at its start: as it is, on stderr only. */
void log_plain(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line that an engine wrote, under its model's name. */
void log_engine(const char *model, const char *line);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
