// Matrix products of bfloat16 by oneDNN, whichever libdnnl there is when one is first wanted.
//
// The library is no part of the build, nor of a start: it is opened by its name, and what of its C interface is needed is
// declared in massl_onednn.c, for versions 2 and 3, which differ. What is made for a shape of product is kept, a thread.
#ifndef MASSL_ONEDNN_H
#define MASSL_ONEDNN_H

#include <stdint.h>

enum massl_onednn_state {
  massl_onednn_ready = 0,
  // No library of these names could be opened; `detail` says why.
  massl_onednn_missing,
  // It is of a version that is not known here, or it lacks a function, whose name is in `detail`.
  massl_onednn_unknown,
  // It splits a product over threads that no variable of the environment bounds.
  massl_onednn_other_threads,
};

struct massl_onednn_library {
  enum massl_onednn_state state;
  int major, minor, patch;
  const char *detail;
};

// Opens the library, the first time; the same answer ever after.
const struct massl_onednn_library *massl_onednn_open(void);

enum massl_bf16_addend {
  massl_bf16_nothing = 0,
  // What c holds. Only where c is floats.
  massl_bf16_result,
  // One row of floats, to each row of c, before it is rounded.
  massl_bf16_bias,
};

// c = a b, and what is added to it, added up in floats. a is [rows, inner] and b [inner, columns], of bfloat16; a stride is
// so many elements from one row, or column, to the next. Rows of c are contiguous. All bytes count: clear it before filling
// it.
struct massl_bf16_product {
  int64_t rows, columns, inner;
  int64_t a_row, a_column, b_row, b_column, c_row;
  // c is bfloat16, rounded once; else floats.
  int32_t rounds;
  // An `enum massl_bf16_addend`.
  int32_t addend;
};

// On the calling thread alone, if OMP_NUM_THREADS is 1. `bias` is read only where it is the addend. Returns 0, or what the
// library answered: 3 is "unimplemented", as on a processor without AVX-512.
int massl_bf16_multiply(
    const struct massl_bf16_product *product, const void *a, const void *b, const float *bias, void *c);

#endif
