/* rejects: api may not include cli */
#include "cli/cli.h"
