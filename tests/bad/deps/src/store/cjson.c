/* rejects: store may not include cjson */
#include <cjson/cJSON.h>
