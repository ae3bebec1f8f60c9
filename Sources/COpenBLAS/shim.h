#include <cblas.h>
#include <stddef.h>

// LAPACK's, which OpenBLAS has in it; Debian declares them in a package of their own. The last arguments are the lengths
// of the texts, as Fortran passes them.

// Eigenvalues of a symmetric matrix.
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info, size_t jobz_length, size_t uplo_length);

// Eigenvalues of a symmetric matrix relative to another one, which is positive definite.
void dsygvd_(const int *itype, const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *b,
             const int *ldb, double *w, double *work, const int *lwork, int *iwork, const int *liwork, int *info,
             size_t jobz_length, size_t uplo_length);
