/* SPDX-License-Identifier: MIT */
#include "base/pagecache.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACES 64

static double share_of(int fd)
{
    struct stat st;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (fstat(fd, &st) || st.st_size <= 0)
        return 1;
    size_t pages = ((size_t)st.st_size + page - 1) / page;
    size_t places = pages < PLACES ? pages : PLACES;
    unsigned there = 0;
    char *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return 1;
    bool known = true; /* a sandbox may forbid to ask */
    for (size_t i = 0; i < places && known; i++) {
        unsigned char is = 1;
        known = mincore(map + pages * i / places * page, page, &is) == 0;
        there += is & 1;
    }
    munmap(map, (size_t)st.st_size);
    return known ? (double)there / (double)places : 1;
}

double pagecache_share(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return 1;
    double share = share_of(fd);
    close(fd);
    return share;
}
