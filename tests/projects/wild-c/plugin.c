/* A guest in C that uses memory as it must not. The last segment of the path says how. */
#include <stdint.h>
#include <string.h>

#include "gatehouse.h"

static bool asks_for(const gh_request *request, const char *what) {
  gh_bytes path = request->path, wanted = gh_str(what);
  if (path.len < wanted.len) return false;
  return gh_equal((gh_bytes){path.data + path.len - wanted.len, wanted.len}, wanted);
}

/* Beyond the end of its memory, which has 32 MiB at most. */
static void write_out_of_bounds(void) {
  memset((void *)(uintptr_t)0x7fff0000, 1, 16);
}

/* A function that is none. */
static void call_anything(void) {
  void (*volatile function)(void) = (void (*)(void))(uintptr_t)0x7fffffff;
  function();
}

static volatile int deepest = INT32_MAX;

static int descend(int depth) {
  volatile char frame[4096];
  frame[depth % 4096] = 1;
  return depth == deepest ? 0 : descend(depth + 1) + frame[0];
}

/* All it has from the beginning, its stack and its own tables among it, and a way past the end. */
static void scribble(void) {
  for (volatile char *place = (volatile char *)1024;; place++) *place = (char)0xa5;
}

const char *plugin_on_request(const gh_request *request, gh_verdict *verdict) {
  (void)verdict;
  if (asks_for(request, "/write")) write_out_of_bounds();
  if (asks_for(request, "/call")) call_anything();
  if (asks_for(request, "/stack")) descend(1);
  if (asks_for(request, "/scribble")) scribble();
  return NULL;
}
