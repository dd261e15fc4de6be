/* rejects: http may not include jwt */
#include <jwt.h>
