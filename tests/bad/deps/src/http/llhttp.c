/* rejects: http may not include llhttp */
#include <llhttp.h>
