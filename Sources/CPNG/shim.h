// libpng. Its calls of old report errors by longjmp, which must not cross Swift frames; those of `png_image` return, and
// say what was wrong in `message`.
#ifndef MASSL_PNG_H
#define MASSL_PNG_H

#include <png.h>

// More bytes than a picture's file will have: a macro that Swift does not see.
static inline size_t massl_png_size_at_most(png_image image) { return PNG_IMAGE_PNG_SIZE_MAX(image); }

#endif
