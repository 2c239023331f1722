/* JSON: documents are read by jsmn, whose tokens stand in the order of the text; a value is a token and what follows. */
#define JSMN_STATIC
#define JSMN_STRICT
#include "../third-party/jsmn.h"

#include <stdlib.h>
#include <string.h>

#include "internal.h"

static const gh_json MISSING = {GH_JSON_MISSING, NULL, NULL};

static gh_json_kind kind(const char *text, const jsmntok_t *token) {
  switch (token->type) {
    case JSMN_OBJECT: return GH_JSON_OBJECT;
    case JSMN_ARRAY: return GH_JSON_ARRAY;
    case JSMN_STRING: return GH_JSON_STRING;
    default: break;
  }
  char first = text[token->start];
  if (first == 'n') return GH_JSON_NULL;
  return first == 't' || first == 'f' ? GH_JSON_BOOL : GH_JSON_NUMBER;
}

static gh_json value(const char *text, const jsmntok_t *token) {
  return (gh_json){kind(text, token), text, token};
}

gh_json gh_json_parse(gh_bytes text) {
  jsmn_parser parser;
  jsmn_init(&parser);
  int count = jsmn_parse(&parser, text.data, text.len, NULL, 0);
  if (count < 1) return MISSING;
  jsmntok_t *tokens = gh_alloc(sizeof(jsmntok_t) * (size_t)count);
  jsmn_init(&parser);
  if (jsmn_parse(&parser, text.data, text.len, tokens, (unsigned)count) != count) return MISSING;
  return value(text.data, tokens);
}

/* The token after a value and all that is in it. */
static const jsmntok_t *after(const jsmntok_t *token) {
  for (int left = 1; left > 0; left--, token++) left += token->size;
  return token;
}

static const jsmntok_t *children(gh_json value) {
  return (const jsmntok_t *)value.token + 1;
}

size_t gh_json_count(gh_json value) {
  bool holds = value.kind == GH_JSON_ARRAY || value.kind == GH_JSON_OBJECT;
  return holds ? (size_t)((const jsmntok_t *)value.token)->size : 0;
}

gh_json gh_json_member_at(gh_json object, size_t index, gh_bytes *name) {
  if (object.kind != GH_JSON_OBJECT || index >= gh_json_count(object)) return MISSING;
  const jsmntok_t *key = children(object);
  for (; index > 0; index--) key = after(key);
  *name = gh_json_string(value(object.text, key), GH_NONE);
  return value(object.text, key + 1);
}

gh_json gh_json_member(gh_json object, const char *name) {
  gh_bytes wanted = gh_str(name);
  for (size_t i = 0; i < gh_json_count(object); i++) {
    gh_bytes found;
    gh_json member = gh_json_member_at(object, i, &found);
    if (gh_equal(found, wanted)) return member;
  }
  return MISSING;
}

gh_json gh_json_item(gh_json array, size_t index) {
  if (array.kind != GH_JSON_ARRAY || index >= gh_json_count(array)) return MISSING;
  const jsmntok_t *item = children(array);
  for (; index > 0; index--) item = after(item);
  return value(array.text, item);
}

gh_bytes gh_json_text(gh_json value) {
  if (value.kind == GH_JSON_MISSING) return GH_NONE;
  const jsmntok_t *token = value.token;
  int quote = value.kind == GH_JSON_STRING;
  return (gh_bytes){value.text + token->start - quote, (size_t)(token->end - token->start + 2 * quote)};
}

double gh_json_number(gh_json value, double otherwise) {
  return value.kind == GH_JSON_NUMBER ? strtod(gh_c_str(gh_json_text(value)), NULL) : otherwise;
}

bool gh_json_bool(gh_json value, bool otherwise) {
  return value.kind == GH_JSON_BOOL ? gh_json_text(value).data[0] == 't' : otherwise;
}

/* === Strings === */

static uint32_t unit(const char *digits) {
  char four[5] = {digits[0], digits[1], digits[2], digits[3], '\0'};
  return (uint32_t)strtoul(four, NULL, 16);
}

static char tail(uint32_t bits) {
  return (char)(0x80 | (bits & 63));
}

/* Writes a code point; how many bytes it took. */
static size_t utf8(uint32_t point, char *out) {
  if (point < 0x80) {
    out[0] = (char)point;
    return 1;
  }
  if (point < 0x800) {
    out[0] = (char)(0xc0 | point >> 6);
    out[1] = tail(point);
    return 2;
  }
  if (point < 0x10000) {
    out[0] = (char)(0xe0 | point >> 12);
    out[1] = tail(point >> 6);
    out[2] = tail(point);
    return 3;
  }
  out[0] = (char)(0xf0 | point >> 18);
  out[1] = tail(point >> 12);
  out[2] = tail(point >> 6);
  out[3] = tail(point);
  return 4;
}

/* The code point of `uXXXX` at the start of what is left, two of them where they are a pair; half a pair is U+FFFD. */
static uint32_t escaped(const char **from, const char *end) {
  uint32_t first = unit(*from + 1);
  *from += 5;
  if (first < 0xd800 || first > 0xdfff) return first;
  bool low_follows = first < 0xdc00 && end - *from >= 6 && (*from)[0] == '\\' && (*from)[1] == 'u';
  uint32_t second = low_follows ? unit(*from + 2) : 0;
  if (second < 0xdc00 || second > 0xdfff) return 0xfffd;
  *from += 6;
  return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
}

gh_bytes gh_json_string(gh_json value, gh_bytes otherwise) {
  if (value.kind != GH_JSON_STRING) return otherwise;
  const jsmntok_t *token = value.token;
  const char *from = value.text + token->start, *end = value.text + token->end;
  char *text = gh_alloc((size_t)(end - from) + 1), *to = text;
  while (from < end) {
    if (*from != '\\') {
      *to++ = *from++;
      continue;
    }
    from++;
    if (*from == 'u') {
      to += utf8(escaped(&from, end), to);
      continue;
    }
    const char *plain = strchr("b\bf\fn\nr\rt\t", *from);
    *to++ = plain != NULL && *from >= 'a' ? plain[1] : *from;
    from++;
  }
  return (gh_bytes){text, (size_t)(to - text)};
}

gh_bytes gh_json_quote(gh_bytes text) {
  char *quoted = gh_alloc(text.len * 6 + 2), *to = quoted;
  *to++ = '"';
  for (size_t i = 0; i < text.len; i++) {
    unsigned char letter = (unsigned char)text.data[i];
    if (letter == '"' || letter == '\\') *to++ = '\\';
    if (letter >= 0x20) {
      *to++ = (char)letter;
      continue;
    }
    memcpy(to, "\\u00", 4);
    to[4] = "0123456789abcdef"[letter >> 4], to[5] = "0123456789abcdef"[letter & 15];
    to += 6;
  }
  *to++ = '"';
  return (gh_bytes){quoted, (size_t)(to - quoted)};
}
