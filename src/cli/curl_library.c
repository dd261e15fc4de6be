#include "cli/curl_library.h"

#include <dlfcn.h>
#include <stdio.h>

struct curl_library libcurl;

bool curl_library_load(char why[256])
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW);
    bool complete = library != NULL;
#define X(name) complete = complete && (*(void **)&libcurl.name = dlsym(library, #name)) != NULL;
    CURL_FUNCTIONS(X)
#undef X
    if (!complete)
        snprintf(why, 256, "libcurl can't be loaded; install it (apt-get install libcurl4): %.120s", dlerror());
    return complete;
}
