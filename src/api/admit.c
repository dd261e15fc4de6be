#include "api/admit.h"

#include "api/api.h"

void api_admit(struct request *request)
{
    if (request->route->effect == WRITES)
        request->before_answer = reading_note_write;
    request->route->handler(request);
}
