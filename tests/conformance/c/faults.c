/* Ways to end a call badly. */
#include <stdlib.h>
#include <string.h>

#include "reference.h"

static void *volatile hoarded;

void commit_fault(gh_bytes action) {
  if (is(action, "trap")) abort();
  if (is(action, "loop")) {
    for (volatile unsigned turns = 0;; turns++) continue;
  }
  if (is(action, "memory")) {
    for (;;) hoarded = memset(gh_alloc(1 << 20), 1, 1 << 20);
  }
}
