#include <zmq.h>

// What Swift's Glibc module leaves out: how malloc keeps what was freed, and a descriptor to wake a polling thread by.
#include <malloc.h>
#include <sys/eventfd.h>
