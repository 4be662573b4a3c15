/* SPDX-License-Identifier: MIT */
/* The daemon's log: one line an event on stderr, as text or as JSON. Lines of one call never mix.
 */
#ifndef HOSTLER_BASE_LOG_H
#define HOSTLER_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

void log_setup(enum log_level level, enum log_format format);
/* Parses `error`, `warn`, `info` or `debug`; negative when it is none of them. */
int log_level_parse(const char *text);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line that an engine wrote, under its model's name. */
void log_engine(const char *model, const char *line);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
