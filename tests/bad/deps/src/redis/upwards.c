/* rejects: redis may not include .. */
#include "../model/worker.h"
