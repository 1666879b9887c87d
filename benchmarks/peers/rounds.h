/* Timing shared by the peers: each line on standard input is a number of rounds to run, answered by one line with the
 * nanoseconds that each of them took. A peer stays alive between the lines, so that the caller can take turns among
 * several peers and itself. */
#ifndef ROUNDS_H
#define ROUNDS_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long long nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void answer_rounds(void (*once)(void))
{
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        for (long left = strtol(line, NULL, 10); left > 0; left--) {
            long long start = nanoseconds();
            once();
            printf("%lld%c", nanoseconds() - start, left == 1 ? '\n' : ' ');
        }
        fflush(stdout);
    }
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

#endif
