// Tests compute in the environment of a compute class, as massl does, however they are started.
//
// OpenBLAS chooses its kernels while it is loaded, by the processor, and on one that it does not know it takes slow ones
// that round otherwise. So before anything else a process of tests starts itself again with what massl's `ComputeClass`
// has for the least class; variables that are set already stay, so that another class can be tested.
#include "massl_test_environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__x86_64__)
#define CORE "Haswell"
#else
#define CORE "ARMV8"
#endif

static int adds(const char *name, const char *value) { return getenv(name) == NULL && setenv(name, value, 1) == 0; }

// glibc gives constructors what it gives `main`.
__attribute__((constructor)) static void start_in_a_compute_class(int count, char **arguments) {
  (void)count;
  int added = adds("OPENBLAS_CORETYPE", CORE);
  added |= adds("OPENBLAS_L2_SIZE", "512");
  added |= adds("OPENBLAS_NUM_THREADS", "1");
  if (!added) return;
  execv("/proc/self/exe", arguments);
  perror("the tests cannot start themselves again in the environment of a compute class");
}
