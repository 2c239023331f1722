/* What the parts of the reference plugin share. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "gatehouse.h"

typedef struct settings {
  gh_bytes body;
  uint32_t limit;
  bool others;
} settings;

/* The answer of an action that answers: true, and the reply begun. */
bool answer_from_head(gh_bytes action, const gh_request *request, gh_verdict *verdict);
bool answer_from_capabilities(gh_bytes action, const gh_request *request, gh_verdict *verdict);
/* Does the bad thing of this name; returns if there is none. */
void commit_fault(gh_bytes action);
/* The changes of an action that goes on. */
void change(gh_bytes action, const gh_request *request, gh_verdict *verdict);

/* A streamed body begins, to be treated like this. */
void begin_body(gh_bytes action);

static inline bool is(gh_bytes action, const char *name) {
  return gh_equal(action, gh_str(name));
}

/* Text, or a dash where there is nothing. */
static inline gh_bytes or_dash(gh_bytes text) {
  return text.data == NULL ? GH("-") : text;
}

#endif
