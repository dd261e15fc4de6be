/* rejects: model may not include h2o */
#include <h2o.h>
