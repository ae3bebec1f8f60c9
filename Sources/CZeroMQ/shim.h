#include <zmq.h>

// What Swift's Glibc module leaves out: how malloc keeps what was freed, a descriptor to wake a polling thread by, and
// names for threads (declared by pthread.h only under _GNU_SOURCE).
#include <malloc.h>
#include <pthread.h>
#include <sys/eventfd.h>
extern int pthread_setname_np(pthread_t thread, const char *name);
