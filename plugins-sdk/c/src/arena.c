/* Memory of one call: taken from blocks front to back, and free all at once when the gateway has read what came of it.
 * It backs what the gateway hands in as well, so that nobody has to free anything. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

typedef struct block {
  struct block *before;
  size_t size;
  size_t used;
  _Alignas(8) char bytes[];
} block;

/* Enough for a request with a full set of headers and its verdict, so that a typical call never asks for more. */
enum { BLOCK = 32 * 1024, ALIGN = 8 };

static block *newest;
/* The first block after configuration; older ones are kept. */
static block *first;

static block *new_block(size_t size) {
  block *made = malloc(sizeof(block) + size);
  if (made == NULL) __builtin_trap();
  *made = (block){newest, size, 0};
  newest = made;
  if (first == NULL) first = made;
  return made;
}

void *gh_alloc(size_t size) {
  /* A size near the end of 32 bits would become small by rounding. */
  if (size > (size_t)INT32_MAX) __builtin_trap();
  size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
  block *from = newest;
  if (first == NULL || from->size - from->used < size) from = new_block(size > BLOCK ? size : BLOCK);
  void *taken = from->bytes + from->used;
  from->used += size;
  return taken;
}

void gh_arena_keep(void) {
  first = NULL;
}

void gh_arena_reset(void) {
  if (first == NULL) return;
  while (newest != first) {
    block *gone = newest;
    newest = gone->before;
    free(gone);
  }
  first->used = 0;
}

static bool in_arena(const char *place) {
  for (const block *each = newest; each != NULL; each = each->before) {
    if (place >= each->bytes && place < each->bytes + each->used) return true;
  }
  return false;
}

gh_bytes gh_held(gh_bytes bytes) {
  if (bytes.data == NULL || in_arena(bytes.data)) return bytes;
  char *copy = gh_alloc(bytes.len);
  memcpy(copy, bytes.data, bytes.len);
  return (gh_bytes){copy, bytes.len};
}

void *gh_push(void *list, size_t *len, size_t size) {
  void **items = list;
  /* A list of no, one, two, four … items is full. */
  if ((*len & (*len - 1)) == 0) {
    void *grown = gh_alloc(size * (*len == 0 ? 1 : *len * 2));
    if (*len > 0) memcpy(grown, *items, size * *len);
    *items = grown;
  }
  void *item = (char *)*items + size * (*len)++;
  return memset(item, 0, size);
}

gh_bytes gh_format(const char *format, ...) {
  va_list values;
  va_start(values, format);
  int len = vsnprintf(NULL, 0, format, values);
  va_end(values);
  if (len < 0) return GH_NONE;
  char *text = gh_alloc((size_t)len + 1);
  va_start(values, format);
  vsnprintf(text, (size_t)len + 1, format, values);
  va_end(values);
  return (gh_bytes){text, (size_t)len};
}

char *gh_c_str(gh_bytes text) {
  char *copy = gh_alloc(text.len + 1);
  if (text.len > 0) memcpy(copy, text.data, text.len);
  copy[text.len] = '\0';
  return copy;
}

/* Called by the gateway for what it hands in. Stronger than the one in the bindings. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t new_size) {
  if (new_size == 0) return (void *)align;
  void *made = gh_alloc(new_size);
  if (old_size > 0) memcpy(made, old, old_size < new_size ? old_size : new_size);
  return made;
}
