/* The floor of a sample: pread of every node's meminfo, kept open, and MemTotal and MemFree taken out of it.
 *
 *   sampling ROOT meminfo     that
 *   sampling ROOT read        the same reads, and nothing taken out
 *   sampling ROOT buddyinfo   /proc/buddyinfo read to its end, and the free pages of every node added up */
#define _GNU_SOURCE
#include "rounds.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 65536, MOST = 1024 };

static int descriptors[MOST];
static int count;
static int buddy = -1;
static char room[ROOM + 1];
static volatile unsigned long long kept;

static void keep_nodes(const char *root)
{
    char path[4096];
    DIR *directory;
    struct dirent *entry;
    snprintf(path, sizeof path, "%s/sys/devices/system/node", root);
    directory = opendir(path);
    if (!directory)
        fail(path);
    while ((entry = readdir(directory))) {
        int node;
        if (sscanf(entry->d_name, "node%d", &node) != 1 || count == MOST)
            continue;
        snprintf(path, sizeof path, "%s/sys/devices/system/node/node%d/meminfo", root, node);
        descriptors[count] = open(path, O_RDONLY | O_CLOEXEC);
        if (descriptors[count++] < 0)
            fail(path);
    }
    closedir(directory);
}

static void read_only(void)
{
    for (int i = 0; i < count; i++)
        if (pread(descriptors[i], room, ROOM, 0) <= 0)
            fail("meminfo");
}

static unsigned long long value_of(const char *name)
{
    const char *at = strstr(room, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void meminfo(void)
{
    for (int i = 0; i < count; i++) {
        ssize_t got = pread(descriptors[i], room, ROOM, 0);
        if (got <= 0)
            fail("meminfo");
        room[got] = 0;
        kept += value_of("MemTotal:") + value_of("MemFree:");
    }
}

static void buddyinfo(void)
{
    unsigned long long free_pages[MOST] = { 0 };
    size_t length = 0;
    ssize_t got;
    while ((got = pread(buddy, room + length, ROOM - length, (off_t)length)) > 0)
        length += (size_t)got;
    if (got < 0)
        fail("buddyinfo");
    room[length] = 0;
    for (char *at = room; *at;) {
        unsigned long node = strtoul(at + 5, &at, 10);
        at = strstr(at, "zone") + 4;
        at += strspn(at, " ");
        at += strcspn(at, " ");
        for (int order = 0; *at && *at != '\n'; order++) {
            free_pages[node % MOST] += strtoull(at, &at, 10) << order;
            at += strspn(at, " ");
        }
        at += *at == '\n';
    }
    for (int i = 0; i < count; i++)
        kept += free_pages[i];
}

int main(int argc, char **argv)
{
    char path[4096];
    if (argc != 3) {
        fprintf(stderr, "sampling ROOT meminfo|read|buddyinfo\n");
        return 2;
    }
    keep_nodes(argv[1]);
    snprintf(path, sizeof path, "%s/proc/buddyinfo", argv[1]);
    if (strcmp(argv[2], "buddyinfo") == 0 && (buddy = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        fail(path);
    printf("%d\n", count);
    fflush(stdout);
    answer_rounds(strcmp(argv[2], "buddyinfo") == 0 ? buddyinfo : strcmp(argv[2], "read") == 0 ? read_only : meminfo);
    return 0;
}
