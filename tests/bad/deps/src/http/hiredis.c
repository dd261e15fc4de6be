/* rejects: http may not include hiredis */
#include <hiredis/async.h>
