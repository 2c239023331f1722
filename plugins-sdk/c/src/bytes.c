/* Bytes and texts: compared, and copied in another form. */
#include <string.h>

#include "internal.h"

gh_bytes gh_str(const char *text) {
  return text == NULL ? GH_NONE : (gh_bytes){text, strlen(text)};
}

bool gh_equal(gh_bytes a, gh_bytes b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static char lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? (char)(letter | 0x20) : letter;
}

static char upper(char letter) {
  return letter >= 'a' && letter <= 'z' ? (char)(letter & ~0x20) : letter;
}

bool gh_equal_ignoring_case(gh_bytes a, gh_bytes b) {
  if (a.len != b.len) return false;
  for (size_t i = 0; i < a.len; i++) {
    if (lower(a.data[i]) != lower(b.data[i])) return false;
  }
  return true;
}

bool gh_starts_with(gh_bytes text, gh_bytes start) {
  return text.len >= start.len && gh_equal((gh_bytes){text.data, start.len}, start);
}

static gh_bytes mapped(gh_bytes text, char (*map)(char)) {
  if (text.data == NULL) return GH_NONE;
  char *copy = gh_alloc(text.len);
  for (size_t i = 0; i < text.len; i++) copy[i] = map(text.data[i]);
  return (gh_bytes){copy, text.len};
}

gh_bytes gh_upper(gh_bytes text) {
  return mapped(text, upper);
}

gh_bytes gh_lower(gh_bytes text) {
  return mapped(text, lower);
}

static bool is_blank(char letter) {
  return letter == ' ' || letter == '\t';
}

gh_bytes gh_trim(gh_bytes text) {
  while (text.len > 0 && is_blank(text.data[0])) text = (gh_bytes){text.data + 1, text.len - 1};
  while (text.len > 0 && is_blank(text.data[text.len - 1])) text.len--;
  return text;
}

gh_bytes gh_join(const gh_bytes *texts, size_t count, gh_bytes between) {
  size_t len = count > 0 ? between.len * (count - 1) : 0;
  for (size_t i = 0; i < count; i++) len += texts[i].len;
  char *joined = gh_alloc(len), *to = joined;
  for (size_t i = 0; i < count; i++) {
    if (i > 0 && between.len > 0) to = (char *)memcpy(to, between.data, between.len) + between.len;
    if (texts[i].len > 0) to = (char *)memcpy(to, texts[i].data, texts[i].len) + texts[i].len;
  }
  return (gh_bytes){joined, len};
}
