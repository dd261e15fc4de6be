/* rejects: api may not include curl */
#include <curl/curl.h>
