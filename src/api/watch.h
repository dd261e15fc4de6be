/*
 * Requests that wait for the end of a task. Whoever ends it tells the threads that wait for it. Such messages may be lost, and
 * Redis may permit none: so a thread also reads the tasks again that its requests wait for, now and then.
 */
#ifndef API_WATCH_H
#define API_WATCH_H

#include "http/request.h"

struct api;
struct task;
struct watch;

/* To be called once for each thread, when its polls have been made. */
void watch_init(struct api *api);

/* Answers a GET of a task when the task has ended, or with how it is after `wait_s` seconds. */
void watch_begin(struct request *request, int wait_s);

/* Answers with a task; its payload and results are for operators, and for the one who has submitted it. */
void watch_answer(struct request *request, const struct task *task);

/* Whether the sender has submitted the task, or may do as much as an operator. */
bool watch_is_permitted(struct request *request, const struct task *task);

/* To be called in each turn of the loop. Returns the ms until the next call. */
int32_t watch_tick(struct api *api);

#endif
