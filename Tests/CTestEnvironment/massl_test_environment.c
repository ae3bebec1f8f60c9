// Tests compute in the environment of a compute class, as massl does, however they are started.
//
// OpenBLAS chooses its kernels while it is loaded, by the processor, and on one that it does not know it takes slow ones
// that round otherwise. So before anything else a process of tests starts itself again with what massl's `ComputeClass`
// has for the least class, or for the one that MASSL_COMPUTE_CLASS names.
#include "massl_test_environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#define LEAST "avx2"
#else
#define LEAST "neon"
#endif

static const struct {
  const char *name, *core;
} classes[] = {{"avx2", "Haswell"}, {"avx512", "SkylakeX"}, {"avx512_bf16", "SkylakeX"}, {"amx", "SkylakeX"}, {"neon", "ARMV8"}};

static int changes(const char *name, const char *value) {
  const char *old = getenv(name);
  return (old == NULL || strcmp(old, value) != 0) && setenv(name, value, 1) == 0;
}

// glibc gives constructors what it gives `main`.
__attribute__((constructor)) static void start_in_a_compute_class(int count, char **arguments) {
  (void)count;
  const char *wanted = getenv("MASSL_COMPUTE_CLASS");
  int changed = wanted == NULL;
  if (wanted == NULL) setenv("MASSL_COMPUTE_CLASS", wanted = LEAST, 1);
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
    if (strcmp(classes[i].name, wanted) == 0) changed |= changes("OPENBLAS_CORETYPE", classes[i].core);
  changed |= changes("OPENBLAS_L2_SIZE", "512");
  changed |= changes("OPENBLAS_NUM_THREADS", "1");
  changed |= changes("OMP_NUM_THREADS", "1");
  if (!changed) return;
  execv("/proc/self/exe", arguments);
  perror("the tests cannot start themselves again in the environment of a compute class");
}
