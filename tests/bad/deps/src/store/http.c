/* rejects: store may not include http */
#include "http/reply.h"
