/* rejects: clang-diagnostic-unused-result */
#include "base/err.h"

MUST_CHECK enum err try(int n);

void go(void)
{
    try(1);
}
