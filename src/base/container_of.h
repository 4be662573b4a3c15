/* SPDX-License-Identifier: MIT */
/* From a pointer to a member back to the struct that embeds it. */
#ifndef HOSTLER_BASE_CONTAINER_OF_H
#define HOSTLER_BASE_CONTAINER_OF_H

#include <stddef.h>

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
