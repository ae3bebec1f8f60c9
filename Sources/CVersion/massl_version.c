#include "massl_version.h"

#ifndef MASSL_COMMIT
#define MASSL_COMMIT ""
#endif

const char *massl_commit(void) { return MASSL_COMMIT; }
