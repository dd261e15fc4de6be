#include "base/heap.h"

#include <stdlib.h>

#define CAPACITY_MIN 64

static void heap_put(struct heap *heap, size_t i, struct heap_entry *entry)
{
    heap->entries[i] = entry;
    entry->place = i + 1;
}

/* Moves an entry from place i up, until its parent is not later. */
static void rise(struct heap *heap, size_t i, struct heap_entry *entry)
{
    while (i > 0 && entry->at < heap->entries[(i - 1) / 2]->at) {
        heap_put(heap, i, heap->entries[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(heap, i, entry);
}

/* Moves an entry from place i down, until its children are not earlier. */
static void sink(struct heap *heap, size_t i, struct heap_entry *entry)
{
    size_t child;
    while ((child = 2 * i + 1) < heap->count) {
        if (child + 1 < heap->count && heap->entries[child + 1]->at < heap->entries[child]->at)
            child++;
        if (entry->at <= heap->entries[child]->at)
            break;
        heap_put(heap, i, heap->entries[child]);
        i = child;
    }
    heap_put(heap, i, entry);
}

static void resize(struct heap *heap, size_t capacity)
{
    struct heap_entry **entries = realloc(heap->entries, capacity * sizeof(struct heap_entry *));
    if (entries == NULL)
        abort();
    heap->entries = entries;
    heap->capacity = capacity;
}

void heap_insert(struct heap *heap, struct heap_entry *entry)
{
    if (heap->count == heap->capacity)
        resize(heap, heap->capacity > 0 ? heap->capacity * 2 : CAPACITY_MIN);
    rise(heap, heap->count++, entry);
}

void heap_remove(struct heap *heap, struct heap_entry *entry)
{
    if (entry->place == 0)
        return;
    size_t i = entry->place - 1;
    struct heap_entry *last = heap->entries[--heap->count];
    entry->place = 0;
    if (last != entry && i > 0 && last->at < heap->entries[(i - 1) / 2]->at)
        rise(heap, i, last);
    else if (last != entry)
        sink(heap, i, last);
    if (heap->capacity > CAPACITY_MIN && heap->count < heap->capacity / 4)
        resize(heap, heap->capacity / 2);
}

struct heap_entry *heap_first(const struct heap *heap)
{
    return heap->count > 0 ? heap->entries[0] : NULL;
}

int32_t heap_wait(const struct heap *heap, int64_t now, int32_t most)
{
    const struct heap_entry *first = heap_first(heap);
    if (first == NULL || first->at - now >= most)
        return most;
    return first->at > now ? (int32_t)(first->at - now) : 0;
}

void heap_fini(struct heap *heap)
{
    for (size_t i = 0; i < heap->count; i++)
        heap->entries[i]->place = 0;
    free(heap->entries);
    *heap = (struct heap){NULL, 0, 0};
}
