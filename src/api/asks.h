/*
 * Workers ask for tasks: on their own, or with a report about the tasks before, which spares them a request.
 */
#ifndef API_ASKS_H
#define API_ASKS_H

#include "base/faults.h"
#include "http/request.h"

/* Checks what the query of a report says about the next tasks ("next", "queues", "request_id"). Adds what is wrong to *faults. */
void asks_check_next(const struct request *request, struct faults *faults);

/*
 * Answers a report with the given members of a JSON object and, if its query asks for them, the next tasks for its worker. They are
 * those that are there now: such an ask does not wait. The report counts even if Redis fails to give tasks.
 */
void asks_reply_report(struct request *request, struct str members);

#endif
