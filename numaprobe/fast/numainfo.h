/* Rows of numainfo, and whether an answer is still the one that a shape was made of. */
#ifndef NUMAPROBE_NUMAINFO_H
#define NUMAPROBE_NUMAINFO_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Two 64-bit words a node: the span of its addresses, and how much of it is free. Little endian wherever Xen runs;
   a recording may be read elsewhere. */
static uint64_t np_node_word(const char *rows, size_t node, size_t which)
{
    uint64_t word;
    memcpy(&word, rows + 16 * node + 8 * which, sizeof word);
    return le64toh(word);
}

/* Whether two operations agree in the bits of a mask. */
static int np_agree(const char *op, const char *wanted, const char *mask, size_t size)
{
    char differs = 0;
    for (size_t i = 0; i < size; i++)
        differs |= (op[i] ^ wanted[i]) & mask[i];
    return !differs;
}

#endif
