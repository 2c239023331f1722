/* Brings the values of request headers into one form, so that upstreams, caches and logs see one spelling of each. */
#include "gatehouse.h"

typedef struct rule {
  const char *name;
  bool trim;
  bool collapse;
  bool lower;
  size_t max; /* bytes; 0 for any number */
} rule;

static rule *rules;
static size_t rule_count;

static rule read_rule(gh_bytes name, gh_json config) {
  return (rule){
      .name = gh_c_str(gh_lower(name)),
      .trim = gh_json_bool(gh_json_member(config, "trim"), true),
      .collapse = gh_json_bool(gh_json_member(config, "collapse"), true),
      .lower = gh_json_bool(gh_json_member(config, "lower"), false),
      .max = (size_t)gh_json_number(gh_json_member(config, "max"), 0),
  };
}

const char *plugin_configure(gh_bytes config, gh_needs *needs) {
  gh_json headers = gh_json_member(gh_json_parse(config), "headers");
  rule_count = gh_json_count(headers);
  if (rule_count == 0) return "headers names none";
  rules = gh_alloc(sizeof(rule) * rule_count);
  for (size_t i = 0; i < rule_count; i++) {
    gh_bytes name;
    gh_json one = gh_json_member_at(headers, i, &name);
    rules[i] = read_rule(name, one);
    gh_need_request_header(needs, rules[i].name);
  }
  return NULL;
}

/* Runs of spaces and tabs as one space each. */
static gh_bytes collapsed(gh_bytes value) {
  char *copy = gh_alloc(value.len);
  size_t len = 0;
  for (size_t i = 0; i < value.len; i++) {
    bool is_blank = value.data[i] == ' ' || value.data[i] == '\t';
    if (is_blank && len > 0 && copy[len - 1] == ' ') continue;
    copy[len++] = is_blank ? ' ' : value.data[i];
  }
  return (gh_bytes){copy, len};
}

static gh_bytes normal(const rule *rule, gh_bytes value) {
  if (rule->trim) value = gh_trim(value);
  if (rule->collapse) value = collapsed(value);
  if (rule->lower) value = gh_lower(value);
  return value;
}

static bool is_normal(const rule *rule, gh_headers headers) {
  for (size_t i = 0;; i++) {
    gh_bytes line = gh_header_line(headers, rule->name, i);
    if (line.data == NULL) return true;
    if (!gh_equal(normal(rule, line), line)) return false;
  }
}

static void write_lines(const rule *rule, gh_headers headers, gh_verdict *verdict) {
  gh_remove_header(verdict, rule->name);
  for (size_t i = 0;; i++) {
    gh_bytes line = gh_header_line(headers, rule->name, i);
    if (line.data == NULL) return;
    gh_add_header(verdict, rule->name, normal(rule, line));
  }
}

static bool is_too_long(const rule *rule, gh_headers headers) {
  for (size_t i = 0; rule->max > 0; i++) {
    gh_bytes line = gh_header_line(headers, rule->name, i);
    if (line.data == NULL) return false;
    if (normal(rule, line).len > rule->max) return true;
  }
  return false;
}

static void refuse(const rule *rule, gh_verdict *verdict) {
  gh_bytes words[] = {GH("The header "), gh_str(rule->name), GH(" is longer than "), gh_number(rule->max), GH(" bytes.")};
  gh_reply_problem(gh_respond(verdict, 400), "Bad Request", gh_join(words, 5, GH("")));
}

const char *plugin_on_request(const gh_request *request, gh_verdict *verdict) {
  for (size_t i = 0; i < rule_count; i++) {
    if (is_too_long(&rules[i], request->headers)) {
      refuse(&rules[i], verdict);
      return NULL;
    }
    if (!is_normal(&rules[i], request->headers)) write_lines(&rules[i], request->headers, verdict);
  }
  return NULL;
}
