/*
 * Requests that wait for the end of a task. The script that ends the task tells the waiting threads. Such messages may be lost,
 * and Redis may not permit them: so a thread also reads these tasks again now and then.
 */
#ifndef API_WATCH_H
#define API_WATCH_H

#include "http/request.h"

struct api;
struct task;
struct watches;

/* To be called once for each thread, when its polls have been made. */
void watch_init(struct api *api);

/* Answers a GET of a task when the task has ended, or with its present state after `wait_s` seconds. */
void watch_begin(struct request *request, int wait_s);

/* Whether the sender has submitted the task, or has at least the role of an operator. */
bool watch_is_permitted(struct request *request, const struct task *task);

/* To be called in each turn of the loop. Returns the ms until the next call. */
int32_t watch_tick(struct api *api);

#endif
