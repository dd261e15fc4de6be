/* rejects: make format would change */
#include <string.h>
#include <stdio.h>
