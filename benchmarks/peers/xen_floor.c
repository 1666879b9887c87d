/* The floor under Xen: the bare ioctls that a list names, one after the other, from pages that stay mapped.
 *
 *   xen_floor LIST TIMES     the whole list so many times in a round
 *
 * A line of the list is a hypercall's number, its command, the operation in hexadecimal ("-" for none), and for each
 * buffer the offset of its handle, a colon, and what it holds. Only the operation is written anew in every round: Xen
 * answers in its place. The first line of output is how many calls there are and how many of them Xen refuses, which
 * is the answer to some of them. */
#define _GNU_SOURCE
#include "rounds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { MOST = 4096, ALIGN = 64 };

/* Linux's struct privcmd_hypercall and IOCTL_PRIVCMD_HYPERCALL (include/uapi/xen/privcmd.h). */
struct hypercall { uint64_t op, arg[5]; };
#define IOCTL_HYPERCALL 0x305000UL

struct call {
    struct hypercall given;
    char *at;           /* of the operation, in pages that Xen can reach */
    char *operation;    /* as it is before each call, handles included */
    size_t size;
};

static struct call calls[MOST];
static size_t count;
static int device;
static char *pages;
static size_t room = 1 << 20, used;
static long times;

static char *taken(size_t size)
{
    char *at = pages + used;
    used += (size + ALIGN - 1) / ALIGN * ALIGN;
    if (used > room) {
        fprintf(stderr, "the list needs more than %zu bytes\n", room);
        exit(1);
    }
    return at;
}

static size_t from_hexadecimal(char *into, const char *digits)
{
    size_t size = 0;
    unsigned int byte;
    while (sscanf(digits + 2 * size, "%2x", &byte) == 1)
        into[size++] = (char)byte;
    return size;
}

static void load(const char *list)
{
    FILE *stream = fopen(list, "r");
    char *line = NULL;
    size_t space = 0;
    if (!stream)
        fail(list);
    while (count < MOST && getline(&line, &space, stream) > 0) {
        struct call *call = &calls[count++];
        unsigned long number = strtoul(strtok(line, " \n"), NULL, 10);
        unsigned long command = strtoul(strtok(NULL, " \n"), NULL, 10);
        const char *digits = strtok(NULL, " \n");
        char *word;
        int second = number == 12 || number == 17;      /* memory_op and xen_version take the command first */
        call->at = taken(strlen(digits) / 2);
        call->operation = malloc(strlen(digits) / 2 + 1);
        call->size = strcmp(digits, "-") ? from_hexadecimal(call->operation, digits) : 0;
        call->given.op = number;
        call->given.arg[0] = command;
        call->given.arg[second] = call->size ? (uint64_t)(uintptr_t)call->at : 0;
        while ((word = strtok(NULL, " \n"))) {
            size_t offset = strtoul(word, &word, 10);
            char *buffer = taken(strlen(word + 1) / 2);
            uint64_t handle = (uint64_t)(uintptr_t)buffer;
            from_hexadecimal(buffer, word + 1);
            memcpy(call->operation + offset, &handle, sizeof handle);
        }
    }
    free(line);
    fclose(stream);
}

static size_t made(void)
{
    size_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(calls[i].at, calls[i].operation, calls[i].size);
        if (ioctl(device, IOCTL_HYPERCALL, &calls[i].given) < 0) {
            if (errno == EFAULT || errno == ENOTTY)
                fail("hypercall");
            refused++;
        }
    }
    return refused;
}

static void once(void)
{
    for (long left = times; left > 0; left--)
        (void)made();
}

int main(int argc, char **argv)
{
    int buffers;
    if (argc != 3 || (times = strtol(argv[2], NULL, 10)) < 1) {
        fprintf(stderr, "xen_floor LIST TIMES\n");
        return 2;
    }
    if ((device = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC)) < 0)
        fail("/dev/xen/privcmd");
    if ((buffers = open("/dev/xen/hypercall", O_RDWR | O_CLOEXEC)) < 0)
        fail("/dev/xen/hypercall");
    pages = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, buffers, 0);
    if (pages == MAP_FAILED)
        fail("mmap");
    load(argv[1]);
    printf("%zu ", count);
    printf("%zu\n", made());
    fflush(stdout);
    answer_rounds(once);
    return 0;
}
