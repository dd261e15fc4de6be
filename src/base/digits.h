/*
 * Writes numbers as digits, for the work of each request, where printf would be too slow.
 */
#ifndef BASE_DIGITS_H
#define BASE_DIGITS_H

#include <stddef.h>
#include <stdint.h>

#define DIGITS_MAX 20 /* of a decimal number */

/* Writes the number without a NUL; returns its length. */
static inline size_t digits_decimal(uint64_t number, char room[DIGITS_MAX])
{
    char reversed[DIGITS_MAX];
    size_t len = 0;
    do {
        reversed[len++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < len; i++)
        room[i] = reversed[len - 1 - i];
    return len;
}

/* Writes all 16 hexadecimal digits, without a NUL. */
static inline void digits_hex(uint64_t number, char room[16])
{
    for (size_t i = 0; i < 16; i++)
        room[i] = "0123456789abcdef"[number >> (60 - 4 * i) & 15];
}

#endif
