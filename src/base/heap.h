/*
 * A heap of moments: it tells which of many moments comes first. An entry is a member of the thing that waits. The
 * heap owns no entries.
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
    size_t place; /* in the heap's array, from 1 on; 0: the entry is in no heap */
};

/* Begins as zeros. */
struct heap {
    struct heap_entry **entries; /* entries[0] comes first; the children of i are 2i + 1 and 2i + 2 */
    size_t count, capacity;
};

/* Inserts an entry, which must be in no heap. When several entries have the same moment, any of them may come first. */
void heap_insert(struct heap *heap, struct heap_entry *entry);

/* Takes an entry out of its heap. Does nothing if the entry is in no heap. */
void heap_remove(struct heap *heap, struct heap_entry *entry);

/* The entry that comes first; NULL if the heap is empty. */
struct heap_entry *heap_first(const struct heap *heap);

/* Milliseconds from `now` until the first entry, at least 0 and at most `most`; `most` if the heap is empty. */
int32_t heap_wait(const struct heap *heap, int64_t now, int32_t most);

/* Frees the heap's memory. Its entries are then in no heap. */
void heap_fini(struct heap *heap);

#endif
