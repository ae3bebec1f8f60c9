// A processor that is wrong now and then. AuditTests preloads it into a worker; massl knows nothing of it.
//
// It stands before OpenBLAS's product. Of the products that add the last layer of the projection head's weight gradient,
// every so many are given back with one bit of one float turned. That layer's shape is the recipe's of the process tests
// and no other product's, so what the worker computes before it joins a run, its probe, is right.
#define _GNU_SOURCE
#include <cblas.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// bottleneck_dim and head_hidden_dim of `Workshop.recipe`.
enum { ROWS = 32, COLUMNS = 64 };

typedef void product(
    CBLAS_ORDER, CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, blasint, blasint, blasint, float, const float *, blasint,
    const float *, blasint, float, float *, blasint);

static product *right;
static long every;
static atomic_long products;

__attribute__((constructor)) static void find_the_right_one(void) {
  right = (product *)dlsym(RTLD_NEXT, "cblas_sgemm");
  const char *number = getenv("BROKEN_PROCESSOR_EVERY");
  every = number ? atol(number) : 0;
  if (every > 0) return;
  fputs("BROKEN_PROCESSOR_EVERY is the number of products of which one is wrong, at least 1\n", stderr);
  abort();
}

void cblas_sgemm(
    CBLAS_ORDER order, CBLAS_TRANSPOSE of_a, CBLAS_TRANSPOSE of_b, blasint rows, blasint columns, blasint inner,
    float scale, const float *a, blasint a_stride, const float *b, blasint b_stride, float keep, float *c,
    blasint c_stride) {
  right(order, of_a, of_b, rows, columns, inner, scale, a, a_stride, b, b_stride, keep, c, c_stride);
  if (of_a != CblasTrans || rows != ROWS || columns != COLUMNS || keep != 1) return;
  if ((atomic_fetch_add(&products, 1) + 1) % every != 0) return;
  // One that shows in any sum: the middle of the mantissa.
  unsigned bits;
  memcpy(&bits, c + c_stride * (ROWS / 2), sizeof bits);
  bits ^= 1u << 18;
  memcpy(c + c_stride * (ROWS / 2), &bits, sizeof bits);
}
