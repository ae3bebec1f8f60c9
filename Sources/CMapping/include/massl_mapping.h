// Copies out of mapped files that cannot end the process.
//
// A page of a mapping that cannot be had (the disk fails, somebody cut the file short) is no error of a call but a
// signal, SIGBUS, at whatever instruction touches it. Here that instruction is always one of `massl_copy_pieces`, which
// then returns early; a SIGBUS anywhere else goes on to whoever handled it before.
#ifndef MASSL_MAPPING_H
#define MASSL_MAPPING_H

#include <stddef.h>

// Copies from each of `count` addresses `head` bytes to `heads`, and the `tail` bytes after them to `tails`, each one
// after the other. The `ahead` addresses after those are fetched into the cache meanwhile.
// Returns how many pieces were copied: `count`, or the index of the first one that could not be read.
size_t massl_copy_pieces(
    const void *const *pieces, size_t count, size_t ahead, void *heads, size_t head, void *tails, size_t tail);

#endif
