/* rejects: base may not include model */
#  include "model/id.h"
