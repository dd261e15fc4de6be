/* rejects: auth may not include cjson */
#include <cjson/cJSON.h>
