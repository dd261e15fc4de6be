/*
 * A heap of moments, which tells which of many comes first. An entry is a member of the thing that waits. The heap owns no
 * entries.
 *
 *     heap_insert, heap_remove    O(log n); an entry that comes last is inserted at once
 *     heap_first                  O(1)
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_entry {
    int64_t at;   /* not to be changed while the entry is in a heap */
    size_t place; /* in the heap's array, from 1 on; 0: it is in none */
};

/* Begins as zeros. */
struct heap {
    struct heap_entry **entries; /* entries[0] comes first; the children of i are 2i + 1 and 2i + 2 */
    size_t count, capacity;
};

/* Inserts an entry, which must be in no heap. Of those with the same moment any may be the first. */
void heap_insert(struct heap *heap, struct heap_entry *entry);

/* Takes an entry out of its heap; one that is in none stays as it is. */
void heap_remove(struct heap *heap, struct heap_entry *entry);

/* The entry that comes first; NULL: there is none. */
struct heap_entry *heap_first(const struct heap *heap);

/* Milliseconds from `now` until the first one, not below 0; `most` when that is later, or there is none. */
int32_t heap_wait(const struct heap *heap, int64_t now, int32_t most);

/* Frees the heap's memory; its entries are in it no more. */
void heap_fini(struct heap *heap);

#endif
