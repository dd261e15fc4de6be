/* rejects: util is no layer */
#include "base/str.h"
