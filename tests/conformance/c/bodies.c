/* Actions on streamed bodies. The chunks of one body reach the instance that saw the phase before them, so what they
 * have in common is kept here, in memory of its own. */
#include <stdlib.h>
#include <string.h>

#include "reference.h"

static char action[16];
static char *held;
static size_t held_len;

void begin_body(gh_bytes of) {
  size_t len = of.len < sizeof action ? of.len : sizeof action - 1;
  if (len > 0) memcpy(action, of.data, len);
  action[len] = '\0';
  held_len = 0;
}

static gh_bytes hold(gh_bytes chunk, bool last) {
  char *grown = realloc(held, held_len + chunk.len + 1);
  if (grown == NULL) __builtin_trap();
  held = grown;
  if (chunk.len > 0) memcpy(held + held_len, chunk.data, chunk.len);
  held_len += chunk.len;
  return last ? (gh_bytes){held, held_len} : GH("");
}

static void treat(gh_bytes chunk, bool last, gh_chunk_verdict *verdict) {
  if (strcmp(action, "upper") == 0) {
    gh_chunk_replace(verdict, gh_join((gh_bytes[]){gh_upper(chunk), GH("<end>")}, last ? 2 : 1, GH_NONE));
  } else if (strcmp(action, "hold") == 0) {
    gh_chunk_replace(verdict, hold(chunk, last));
  }
}

const char *plugin_on_request_body(gh_bytes chunk, bool last, gh_chunk_verdict *verdict) {
  if (strcmp(action, "stop") == 0 && gh_starts_with(chunk, GH("stop"))) {
    gh_reply_body(gh_chunk_respond(verdict, 409), GH("stopped"));
  } else {
    treat(chunk, last, verdict);
  }
  return NULL;
}

const char *plugin_on_response_body(gh_bytes chunk, bool last, gh_chunk_verdict *verdict) {
  treat(chunk, last, verdict);
  return NULL;
}
