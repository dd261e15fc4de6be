/*
 * Sizes as agents write them: "15.6GB", "24564 MiB", "3,6 GB", "2Gi", 16777216000, "24564MiB, 24564MiB", "2 x 24 GB". All code
 * that compares or shows sizes reads them here.
 */
#ifndef MODEL_SIZE_H
#define MODEL_SIZE_H

#include "base/buffer.h"

/* One size, or several that were told together, such as those of several cards. */
struct size {
    double bytes;   /* of all sizes together */
    double largest; /* bytes of the largest one */
    double shown;   /* the sum, in the GB that people expect to see: the told number, with units in steps of 1024 */
};

#define SIZE_UNKNOWN ((struct size){-1, -1, -1})

static inline bool size_is_known(struct size size)
{
    return size.bytes >= 0;
}

/*
 * Reads a size. KB/MB/GB/TB and K/M/G/T are powers of 1000 (a card sold as 8 GB reports 8188 MiB), Ki/Mi/Gi/Ti and KiB/MiB/GiB/TiB
 * powers of 1024, B bytes; size_of_number says what a number without a unit is. A comma is a decimal point ("3,6 GB"), unless it
 * stands between groups of three digits ("24,564 MiB"). Several sizes stand in lines, or have commas, semicolons, bars or
 * plus signs between them; "2 x 24 GB" is two. Case and white space do not matter. Left out are labels ("MemTotal: 8192 kB"),
 * entries without a digit ("[N/A], 24564 MiB"), and remarks in parentheses behind a size.
 * Returns false, and leaves *size as it is, if the text is no size ("Unknown (AMD)", "-1GB", "").
 */
bool size_parse(struct str text, struct size *size);

/* The size that a bare number (0 or more) stands for: bytes above 10^8, MiB above 1000, else GB. */
struct size size_of_number(double number);

/* Appends the size for people: "24 GB", "512 MB", "1.5 TB". */
void size_write(struct buffer *out, struct size size);

#endif
