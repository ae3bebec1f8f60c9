// libwebp: a file's bytes in, pixels out.
#ifndef MASSL_WEBP_H
#define MASSL_WEBP_H

#include <stddef.h>

#include <webp/decode.h>

// Exported for those who choose how it computes, though in none of the headers that are installed.
extern int (*VP8GetCPUInfo)(int feature) __attribute__((weak));

// Has libwebp use its C code alone. Call it before the first picture is decoded.
static inline void massl_webp_use_no_vector_instructions(void) {
  if (&VP8GetCPUInfo != NULL) VP8GetCPUInfo = NULL;
}

#endif
