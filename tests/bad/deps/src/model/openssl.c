/* rejects: model may not include openssl */
#include <openssl/sha.h>
