/* A stand-in for a guest: threads named as QEMU's emulated vcpus are, and memory that has been written to.
 *
 *   guest MEBIBYTES VCPUS        run under the name qemu-system-x86_64 and with QEMU's options behind these two */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static void *vcpu(void *number)
{
    char name[16];
    snprintf(name, sizeof name, "CPU %d/TCG", (int)(long)number);
    prctl(PR_SET_NAME, name);
    pause();
    return NULL;
}

int main(int argc, char **argv)
{
    size_t size = (size_t)(argc > 1 ? atoi(argv[1]) : 16) << 20;
    int vcpus = argc > 2 ? atoi(argv[2]) : 1;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    memset(memory, 1, size);
    for (long i = 0; i < vcpus; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, vcpu, (void *)i))
            return 1;
    }
    puts("ready");
    fflush(stdout);
    pause();
    return 0;
}
