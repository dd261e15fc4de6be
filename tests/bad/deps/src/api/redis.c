/* rejects: api may not include redis */
#include "redis/link.h"
