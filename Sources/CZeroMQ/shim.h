#include <zmq.h>

// What Swift's Glibc module leaves out: a descriptor to wake a polling thread by, and names for threads (declared by
// pthread.h only under _GNU_SOURCE).
#include <pthread.h>
#include <sys/eventfd.h>
extern int pthread_setname_np(pthread_t thread, const char *name);
