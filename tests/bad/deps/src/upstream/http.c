/* rejects: upstream may not include http */
#include "http/request.h"
