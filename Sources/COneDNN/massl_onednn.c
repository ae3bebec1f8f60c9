// See massl_onednn.h. Where versions 2 and 3 of the C interface differ: a description of memory or of a product is a
// struct of the caller's in 2 and an object of the library's in 3, and a post-operation has other arguments.
#define _GNU_SOURCE
#include "massl_onednn.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// MARK: What is needed of oneapi/dnnl/dnnl.h

enum { DNNL_SUCCESS = 0, DNNL_OUT_OF_MEMORY = 1 };
enum { DNNL_UNDEFINED = 0, DNNL_BF16 = 2, DNNL_F32 = 3 };
enum { DNNL_CPU = 1, DNNL_STREAM_IN_ORDER = 1 };
enum { DNNL_ARG_SRC = 1, DNNL_ARG_DST = 17, DNNL_ARG_WEIGHTS = 33, DNNL_ARG_BIAS = 41 };
enum { DNNL_RUNTIME_SEQ = 1, DNNL_RUNTIME_OMP = 2 };
enum { DNNL_MAX_NDIMS = 12 };

// Of version 2: dnnl_memory_desc_t has 696 bytes and dnnl_matmul_desc_t 2,800 in 2.6.3.
enum { MEMORY_DESCRIPTION_BYTES = 1024, PRODUCT_DESCRIPTION_BYTES = 8192 };

typedef struct {
  int major, minor, patch;
  const char *hash;
  unsigned cpu_runtime, gpu_runtime;
} dnnl_version_t;

typedef struct {
  int arg;
  void *memory;
} dnnl_exec_arg_t;

static struct {
  const dnnl_version_t *(*version)(void);
  int (*engine_create)(void **engine, int kind, size_t index);
  int (*engine_destroy)(void *engine);
  int (*stream_create)(void **stream, void *engine, unsigned flags);
  int (*stream_destroy)(void *stream);
  int (*stream_wait)(void *stream);
  int (*memory_create)(void **memory, const void *description, void *engine, void *handle);
  int (*memory_destroy)(void *memory);
  int (*memory_set_data_handle)(void *memory, void *handle);
  int (*primitive_create)(void **primitive, const void *description);
  int (*primitive_destroy)(void *primitive);
  int (*primitive_desc_destroy)(void *description);
  int (*primitive_execute)(const void *primitive, void *stream, int count, const dnnl_exec_arg_t *arguments);
  int (*primitive_attr_create)(void **attributes);
  int (*primitive_attr_destroy)(void *attributes);
  int (*primitive_attr_set_post_ops)(void *attributes, const void *post_ops);
  int (*post_ops_create)(void **post_ops);
  int (*post_ops_destroy)(void *post_ops);
  // Version 2.
  int (*memory_desc_init_by_strides)(
      void *description, int dimensions, const int64_t *sizes, int type, const int64_t *strides);
  int (*matmul_desc_init)(void *description, const void *a, const void *b, const void *bias, const void *c);
  int (*primitive_desc_create)(
      void **description, const void *operation, const void *attributes, void *engine, const void *hint);
  int (*append_sum_2)(void *post_ops, float scale);
  // Version 3.
  int (*memory_desc_create_with_strides)(
      void **description, int dimensions, const int64_t *sizes, int type, const int64_t *strides);
  int (*memory_desc_destroy)(void *description);
  int (*matmul_primitive_desc_create)(
      void **description, void *engine, const void *a, const void *b, const void *bias, const void *c,
      const void *attributes);
  int (*append_sum_3)(void *post_ops, float scale, int32_t zero_point, int type);
} dnnl;

#define BOTH 0
static const struct {
  const char *name;
  void *place;
  int version;
} functions[] = {
    {"dnnl_version", &dnnl.version, BOTH},
    {"dnnl_engine_create", &dnnl.engine_create, BOTH},
    {"dnnl_engine_destroy", &dnnl.engine_destroy, BOTH},
    {"dnnl_stream_create", &dnnl.stream_create, BOTH},
    {"dnnl_stream_destroy", &dnnl.stream_destroy, BOTH},
    {"dnnl_stream_wait", &dnnl.stream_wait, BOTH},
    {"dnnl_memory_create", &dnnl.memory_create, BOTH},
    {"dnnl_memory_destroy", &dnnl.memory_destroy, BOTH},
    {"dnnl_memory_set_data_handle", &dnnl.memory_set_data_handle, BOTH},
    {"dnnl_primitive_create", &dnnl.primitive_create, BOTH},
    {"dnnl_primitive_destroy", &dnnl.primitive_destroy, BOTH},
    {"dnnl_primitive_desc_destroy", &dnnl.primitive_desc_destroy, BOTH},
    {"dnnl_primitive_execute", &dnnl.primitive_execute, BOTH},
    {"dnnl_primitive_attr_create", &dnnl.primitive_attr_create, BOTH},
    {"dnnl_primitive_attr_destroy", &dnnl.primitive_attr_destroy, BOTH},
    {"dnnl_primitive_attr_set_post_ops", &dnnl.primitive_attr_set_post_ops, BOTH},
    {"dnnl_post_ops_create", &dnnl.post_ops_create, BOTH},
    {"dnnl_post_ops_destroy", &dnnl.post_ops_destroy, BOTH},
    {"dnnl_memory_desc_init_by_strides", &dnnl.memory_desc_init_by_strides, 2},
    {"dnnl_matmul_desc_init", &dnnl.matmul_desc_init, 2},
    {"dnnl_primitive_desc_create", &dnnl.primitive_desc_create, 2},
    {"dnnl_post_ops_append_sum", &dnnl.append_sum_2, 2},
    {"dnnl_memory_desc_create_with_strides", &dnnl.memory_desc_create_with_strides, 3},
    {"dnnl_memory_desc_destroy", &dnnl.memory_desc_destroy, 3},
    {"dnnl_matmul_primitive_desc_create", &dnnl.matmul_primitive_desc_create, 3},
    {"dnnl_post_ops_append_sum", &dnnl.append_sum_3, 3},
};

// MARK: Opening

static struct massl_onednn_library library;
static pthread_once_t opened = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;

static void release_thread(void *kernels);

static void refuse(enum massl_onednn_state state, const char *detail) {
  static char text[512];
  snprintf(text, sizeof text, "%s", detail != NULL ? detail : "");
  library.state = state;
  library.detail = text;
}

static void open_library(void) {
  library.detail = "";
  void *handle = NULL;
  // The newest first: a name says which interface it has.
  static const char *const names[] = {"libdnnl.so.3", "libdnnl.so.2"};
  for (size_t i = 0; handle == NULL && i < sizeof names / sizeof *names; i++)
    handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) return refuse(massl_onednn_missing, dlerror());
  const dnnl_version_t *(*version)(void) = (const dnnl_version_t *(*)(void))dlsym(handle, "dnnl_version");
  if (version == NULL) return refuse(massl_onednn_unknown, "dnnl_version");
  library.major = version()->major;
  library.minor = version()->minor;
  library.patch = version()->patch;
  if (library.major != 2 && library.major != 3) return refuse(massl_onednn_unknown, "");
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    if (functions[i].version != BOTH && functions[i].version != library.major) continue;
    void *function = dlsym(handle, functions[i].name);
    if (function == NULL) return refuse(massl_onednn_unknown, functions[i].name);
    memcpy(functions[i].place, &function, sizeof function);
  }
  unsigned runtime = version()->cpu_runtime;
  if (runtime != DNNL_RUNTIME_SEQ && runtime != DNNL_RUNTIME_OMP) return refuse(massl_onednn_other_threads, "");
  if (pthread_key_create(&thread_key, release_thread) != 0) refuse(massl_onednn_missing, "no thread-local memory");
}

const struct massl_onednn_library *massl_onednn_open(void) {
  pthread_once(&opened, open_library);
  return &library;
}

// MARK: A thread's kernels

// A run's products have some 300 shapes: stochastic depth varies how many rows they have.
enum { KERNELS_AT_MOST = 768, BUCKETS = 1024 };

struct kernel {
  struct massl_bf16_product product;
  struct kernel *next;
  void *primitive;
  void *a, *b, *bias, *c;
};

struct thread_kernels {
  void *engine, *stream;
  int count;
  struct kernel *buckets[BUCKETS];
};

static void release_kernel(struct kernel *kernel) {
  if (kernel->primitive != NULL) dnnl.primitive_destroy(kernel->primitive);
  if (kernel->a != NULL) dnnl.memory_destroy(kernel->a);
  if (kernel->b != NULL) dnnl.memory_destroy(kernel->b);
  if (kernel->bias != NULL) dnnl.memory_destroy(kernel->bias);
  if (kernel->c != NULL) dnnl.memory_destroy(kernel->c);
  free(kernel);
}

static void release_kernels(struct thread_kernels *thread) {
  for (size_t i = 0; i < BUCKETS; i++) {
    while (thread->buckets[i] != NULL) {
      struct kernel *kernel = thread->buckets[i];
      thread->buckets[i] = kernel->next;
      release_kernel(kernel);
    }
  }
  thread->count = 0;
}

static void release_thread(void *kernels) {
  struct thread_kernels *thread = kernels;
  release_kernels(thread);
  if (thread->stream != NULL) dnnl.stream_destroy(thread->stream);
  if (thread->engine != NULL) dnnl.engine_destroy(thread->engine);
  free(thread);
}

static int own_kernels(struct thread_kernels **found) {
  *found = pthread_getspecific(thread_key);
  if (*found != NULL) return DNNL_SUCCESS;
  struct thread_kernels *thread = calloc(1, sizeof *thread);
  if (thread == NULL) return DNNL_OUT_OF_MEMORY;
  int status = dnnl.engine_create(&thread->engine, DNNL_CPU, 0);
  if (status == DNNL_SUCCESS) status = dnnl.stream_create(&thread->stream, thread->engine, DNNL_STREAM_IN_ORDER);
  if (status == DNNL_SUCCESS && pthread_setspecific(thread_key, thread) != 0) status = DNNL_OUT_OF_MEMORY;
  if (status != DNNL_SUCCESS) {
    release_thread(thread);
    return status;
  }
  *found = thread;
  return DNNL_SUCCESS;
}

// MARK: Making a kernel

static int describe(void **description, int64_t rows, int64_t columns, int type, int64_t row, int64_t column) {
  int64_t sizes[DNNL_MAX_NDIMS] = {rows, columns}, strides[DNNL_MAX_NDIMS] = {row, column};
  if (library.major == 3) return dnnl.memory_desc_create_with_strides(description, 2, sizes, type, strides);
  *description = calloc(1, MEMORY_DESCRIPTION_BYTES);
  if (*description == NULL) return DNNL_OUT_OF_MEMORY;
  return dnnl.memory_desc_init_by_strides(*description, 2, sizes, type, strides);
}

static void release_description(void *description) {
  if (description == NULL) return;
  if (library.major == 3) {
    dnnl.memory_desc_destroy(description);
  } else {
    free(description);
  }
}

static int make_attributes(void **attributes, void **post_ops, int adds) {
  int status = dnnl.primitive_attr_create(attributes);
  if (status != DNNL_SUCCESS || !adds) return status;
  status = dnnl.post_ops_create(post_ops);
  if (status != DNNL_SUCCESS) return status;
  // The type is c's own. Named all the same, version 3.2 takes a reference kernel, a thousand times slower.
  status =
      library.major == 3 ? dnnl.append_sum_3(*post_ops, 1, 0, DNNL_UNDEFINED) : dnnl.append_sum_2(*post_ops, 1);
  return status != DNNL_SUCCESS ? status : dnnl.primitive_attr_set_post_ops(*attributes, *post_ops);
}

static int describe_product(
    void **description, void *engine, const void *a, const void *b, const void *bias, const void *c,
    const void *attributes) {
  if (library.major == 3) return dnnl.matmul_primitive_desc_create(description, engine, a, b, bias, c, attributes);
  void *operation = calloc(1, PRODUCT_DESCRIPTION_BYTES);
  if (operation == NULL) return DNNL_OUT_OF_MEMORY;
  int status = dnnl.matmul_desc_init(operation, a, b, bias, c);
  if (status == DNNL_SUCCESS) status = dnnl.primitive_desc_create(description, operation, attributes, engine, NULL);
  free(operation);
  return status;
}

static int fill_kernel(struct kernel *kernel, void *engine) {
  const struct massl_bf16_product *p = &kernel->product;
  void *a = NULL, *b = NULL, *bias = NULL, *c = NULL, *attributes = NULL, *post_ops = NULL, *description = NULL;
  int status = describe(&a, p->rows, p->inner, DNNL_BF16, p->a_row, p->a_column);
  if (status == DNNL_SUCCESS) status = describe(&b, p->inner, p->columns, DNNL_BF16, p->b_row, p->b_column);
  if (status == DNNL_SUCCESS) status = describe(&c, p->rows, p->columns, p->rounds ? DNNL_BF16 : DNNL_F32, p->c_row, 1);
  if (status == DNNL_SUCCESS && p->addend == massl_bf16_bias)
    status = describe(&bias, 1, p->columns, DNNL_F32, p->columns, 1);
  if (status == DNNL_SUCCESS)
    status = make_attributes(&attributes, &post_ops, p->addend == massl_bf16_result);
  if (status == DNNL_SUCCESS) status = describe_product(&description, engine, a, b, bias, c, attributes);
  if (status == DNNL_SUCCESS) status = dnnl.primitive_create(&kernel->primitive, description);
  // No memory of its own: each call says where a, b, bias and c are.
  if (status == DNNL_SUCCESS) status = dnnl.memory_create(&kernel->a, a, engine, NULL);
  if (status == DNNL_SUCCESS) status = dnnl.memory_create(&kernel->b, b, engine, NULL);
  if (status == DNNL_SUCCESS && bias != NULL) status = dnnl.memory_create(&kernel->bias, bias, engine, NULL);
  if (status == DNNL_SUCCESS) status = dnnl.memory_create(&kernel->c, c, engine, NULL);
  if (description != NULL) dnnl.primitive_desc_destroy(description);
  if (post_ops != NULL) dnnl.post_ops_destroy(post_ops);
  if (attributes != NULL) dnnl.primitive_attr_destroy(attributes);
  release_description(a);
  release_description(b);
  release_description(bias);
  release_description(c);
  return status;
}

static size_t bucket(const struct massl_bf16_product *product) {
  // FNV-1a, eight bytes at a time.
  uint64_t hash = 0xcbf29ce484222325, word;
  for (size_t i = 0; i < sizeof *product; i += sizeof word) {
    memcpy(&word, (const char *)product + i, sizeof word);
    hash = (hash ^ word) * 0x100000001b3;
  }
  return (hash ^ (hash >> 32)) % BUCKETS;
}

static int find_kernel(struct kernel **found, const struct massl_bf16_product *product, struct thread_kernels *thread) {
  size_t place = bucket(product);
  for (struct kernel *kernel = thread->buckets[place]; kernel != NULL; kernel = kernel->next) {
    if (memcmp(&kernel->product, product, sizeof *product) == 0) {
      *found = kernel;
      return DNNL_SUCCESS;
    }
  }
  // Making one takes a fraction of a millisecond, and the library itself keeps what it compiled.
  if (thread->count == KERNELS_AT_MOST) release_kernels(thread);
  struct kernel *kernel = calloc(1, sizeof *kernel);
  if (kernel == NULL) return DNNL_OUT_OF_MEMORY;
  kernel->product = *product;
  int status = fill_kernel(kernel, thread->engine);
  if (status != DNNL_SUCCESS) {
    release_kernel(kernel);
    return status;
  }
  kernel->next = thread->buckets[place];
  thread->buckets[place] = kernel;
  thread->count++;
  *found = kernel;
  return DNNL_SUCCESS;
}

// MARK: Multiplying

_Static_assert(sizeof(struct massl_bf16_product) == 9 * sizeof(int64_t), "no byte of it is padding");

int massl_bf16_multiply(
    const struct massl_bf16_product *product, const void *a, const void *b, const float *bias, void *c) {
  struct thread_kernels *thread;
  struct kernel *kernel;
  int status = own_kernels(&thread);
  if (status == DNNL_SUCCESS) status = find_kernel(&kernel, product, thread);
  if (status == DNNL_SUCCESS) status = dnnl.memory_set_data_handle(kernel->a, (void *)a);
  if (status == DNNL_SUCCESS) status = dnnl.memory_set_data_handle(kernel->b, (void *)b);
  if (status == DNNL_SUCCESS && kernel->bias != NULL)
    status = dnnl.memory_set_data_handle(kernel->bias, (void *)bias);
  if (status == DNNL_SUCCESS) status = dnnl.memory_set_data_handle(kernel->c, c);
  if (status != DNNL_SUCCESS) return status;
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_SRC, kernel->a}, {DNNL_ARG_WEIGHTS, kernel->b}, {DNNL_ARG_DST, kernel->c}, {DNNL_ARG_BIAS, kernel->bias}};
  int count = kernel->bias != NULL ? 4 : 3;
  status = dnnl.primitive_execute(kernel->primitive, thread->stream, count, arguments);
  return status != DNNL_SUCCESS ? status : dnnl.stream_wait(thread->stream);
}
