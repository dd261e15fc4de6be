/* rejects: upstream may not include redis */
#include "redis/link.h"
