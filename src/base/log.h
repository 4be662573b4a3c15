/* SPDX-License-Identifier: MIT */
/*
 * The daemon's log: one line an event on stderr, as text or as JSON, and in a file if there is one.
 * Lines of one call never mix.
 *
 * Until log_start() a line is written when it is logged. From then on it is queued, and a thread for each
 * place writes it (base/log_sink): whoever logs never waits for a terminal, a pipe or a disk.
 *
 * Where stderr is systemd's journal, each line begins with its priority (`<3>` for an error, see
 * sd-daemon(3)), which the journal takes off, and text has no time, which the journal notes itself.
 */
#ifndef HOSTLER_BASE_LOG_H
#define HOSTLER_BASE_LOG_H

#include "base/error.h"
#include "base/log_sink.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

void log_setup(enum log_level level, enum log_format format);
/* What is told from now on; any thread. */
void log_set_level(enum log_level level);
enum log_level log_level(void);
const char *log_level_name(enum log_level level);
/* From here to log_stop() lines are queued. For the main thread, while no other thread logs. */
void log_start(void);
/* Writes what is queued, for 2 s at most for each place, and goes back to writing at once. */
void log_stop(void);
/* Opens, or creates, a file to append to: a descriptor, or a negative errno with a text. May wait
 * for a disk. */
int log_open(const char *path, struct error *err) __attribute__((warn_unused_result));
/* Writes every line to `fd`, too, which it takes, in place of the one before. -1, before log_start(): to no file. */
void log_to_fd(int fd);
/* What could not be written since log_start(); nothing without a file. A file that cannot be written is also told in a
 * line, on stderr. */
struct log_sink_losses log_losses_of_stderr(void);
struct log_sink_losses log_losses_of_file(void);
/* Parses `error`, `warn`, `info` or `debug`; negative when it is none of them. */
int log_level_parse(const char *text);

/* What a program says that ends at its start: without time and level, on stderr only. */
void log_plain(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A warning whose text was not logged before: for what is found again at each reading of a folder. Up to
 * 1024 texts are remembered. From any thread. */
void log_warn_once(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Before an abort(): what is queued, and then `line` on stderr where that does not block. Allocates
 * nothing. */
void log_last_words(const char *line);
/* A line that an engine wrote, under its model's name. */
void log_engine(const char *model, const char *line);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
