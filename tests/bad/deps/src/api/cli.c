/* rejects: api may not include cli */
#include "cli/client.h"
