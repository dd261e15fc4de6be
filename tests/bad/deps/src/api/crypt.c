/* rejects: api may not include crypt */
#include <crypt.h>
