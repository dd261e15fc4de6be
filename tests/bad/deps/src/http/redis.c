/* rejects: http may not include redis */
#include <redis/script.h>
