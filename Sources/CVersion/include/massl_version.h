// What this was built from, as whoever built it said.
#ifndef MASSL_VERSION_H
#define MASSL_VERSION_H

/// The commit, with "-dirty" behind it if files were changed; empty if it was not said.
const char *massl_commit(void);

#endif
