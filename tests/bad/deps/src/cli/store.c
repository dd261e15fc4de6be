/* rejects: cli may not include store */
#include "store/store.h"
