// See massl_mapping.h. The return point is the thread's own; it is set while that thread copies and at no other time.
#define _GNU_SOURCE
#include "massl_mapping.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

enum { CACHE_LINE = 64 };

static _Thread_local sigjmp_buf *volatile return_point;
static struct sigaction former;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static void on_bus_error(int number, siginfo_t *info, void *context) {
  if (return_point != NULL) {
    // The jump does not bring back what was blocked before: whatever the handler was installed with (a sanitizer blocks
    // everything), the next such page has to be a signal again.
    pthread_sigmask(SIG_SETMASK, &((const ucontext_t *)context)->uc_sigmask, NULL);
    siglongjmp(*return_point, 1);
  }
  if (former.sa_flags & SA_SIGINFO) {
    former.sa_sigaction(number, info, context);
  } else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN) {
    former.sa_handler(number);
  } else {
    // Comes again when this returns, and ends the process as if nobody had handled it.
    signal(SIGBUS, SIG_DFL);
  }
}

static void install(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &former);
}

size_t massl_copy_pieces(
    const void *const *pieces, size_t count, size_t ahead, void *heads, size_t head, void *tails, size_t tail) {
  pthread_once(&installed, install);
  sigjmp_buf here;
  volatile size_t done = 0;
  if (sigsetjmp(here, 0) == 0) {
    return_point = &here;
    for (size_t index = 0; index < count; index++) {
      if (index < ahead) {
        const char *next = pieces[count + index];
        for (size_t offset = 0; offset < head + tail; offset += CACHE_LINE) __builtin_prefetch(next + offset);
      }
      const char *piece = pieces[index];
      memcpy((char *)heads + index * head, piece, head);
      memcpy((char *)tails + index * tail, piece + head, tail);
      done = index + 1;
    }
  }
  return_point = NULL;
  return done;
}
