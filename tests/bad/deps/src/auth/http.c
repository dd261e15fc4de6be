/* rejects: auth may not include http */
#include "http/request.h"
