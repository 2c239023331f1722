/* Calls into the gateway. What a plugin does not call it does not import. */
#include "internal.h"

static plugin_string_t text(const char *text) {
  return gh_raw_string(gh_str(text));
}

static uint64_t *ttl(uint64_t *millis) {
  return *millis == 0 ? NULL : millis;
}

void gh_log(gh_level level, gh_bytes message) {
  plugin_string_t raw = gh_raw_string(message);
  gatehouse_plugin_log_log((gatehouse_plugin_log_level_t)level, &raw);
}

/* === kv === */

gh_bytes gh_kv_get(const char *key) {
  plugin_string_t raw = text(key);
  plugin_list_u8_t value;
  return gatehouse_plugin_kv_get(&raw, &value) ? gh_from_list(value) : GH_NONE;
}

gh_kv_error gh_kv_set(const char *key, gh_bytes value, uint64_t ttl_ms) {
  plugin_string_t raw = text(key);
  plugin_list_u8_t list = gh_raw_list(value);
  gatehouse_plugin_kv_error_t error;
  return gatehouse_plugin_kv_set(&raw, &list, ttl(&ttl_ms), &error) ? GH_KV_OK : (gh_kv_error)(error + 1);
}

void gh_kv_delete(const char *key) {
  plugin_string_t raw = text(key);
  gatehouse_plugin_kv_delete(&raw);
}

gh_kv_error gh_kv_increment(const char *key, int64_t delta, uint64_t ttl_ms, int64_t *sum) {
  plugin_string_t raw = text(key);
  gatehouse_plugin_kv_error_t error;
  return gatehouse_plugin_kv_increment(&raw, delta, ttl(&ttl_ms), sum, &error) ? GH_KV_OK : (gh_kv_error)(error + 1);
}

const char *gh_kv_error_name(gh_kv_error error) {
  static const char *const NAMES[] = {"ok", "quota", "not-a-counter"};
  return NAMES[error];
}

/* === jwt, introspection === */

static plugin_list_string_t names(const char *const *list) {
  plugin_list_string_t names = {0};
  for (; list != NULL && *list != NULL; list++) {
    *(plugin_string_t *)gh_push(&names.ptr, &names.len, sizeof(plugin_string_t)) = text(*list);
  }
  return names;
}

static gh_verified accepted(plugin_string_t issuer, plugin_string_t subject, plugin_string_t scope, plugin_list_option_string_t claims) {
  gh_bytes *values = gh_alloc(sizeof(gh_bytes) * claims.len);
  for (size_t i = 0; i < claims.len; i++) values[i] = gh_from_option(claims.ptr[i]);
  return (gh_verified){gh_from_string(issuer), gh_from_string(subject), gh_from_string(scope), values};
}

gh_refusal gh_jwt_verify(gh_bytes token, const char *const *issuers, const char *const *claims, gh_verified *verified) {
  static const gh_refusal REFUSALS[] = {GH_MALFORMED,     GH_UNKNOWN_ISSUER, GH_BAD_SIGNATURE, GH_EXPIRED,
                                        GH_NOT_YET_VALID, GH_WRONG_AUDIENCE, GH_BAD_CLAIMS,    GH_UNAVAILABLE};
  plugin_list_u8_t raw = gh_raw_list(token);
  plugin_list_string_t from = names(issuers), wanted = names(claims);
  gatehouse_plugin_jwt_verified_t ret;
  gatehouse_plugin_jwt_refusal_t refusal;
  if (!gatehouse_plugin_jwt_verify(&raw, &from, &wanted, &ret, &refusal)) return REFUSALS[refusal];
  *verified = accepted(ret.issuer, ret.subject, ret.scope, ret.claims);
  return GH_ACCEPTED;
}

gh_refusal gh_introspect(gh_bytes token, const char *const *issuers, const char *const *claims, gh_verified *verified) {
  static const gh_refusal REFUSALS[] = {GH_MALFORMED,     GH_UNKNOWN_ISSUER, GH_INACTIVE,   GH_EXPIRED,
                                        GH_NOT_YET_VALID, GH_WRONG_AUDIENCE, GH_UNAVAILABLE};
  plugin_list_u8_t raw = gh_raw_list(token);
  plugin_list_string_t from = names(issuers), wanted = names(claims);
  gatehouse_plugin_introspection_verified_t ret;
  gatehouse_plugin_introspection_refusal_t refusal;
  if (!gatehouse_plugin_introspection_introspect(&raw, &from, &wanted, &ret, &refusal)) return REFUSALS[refusal];
  *verified = accepted(ret.issuer, ret.subject, ret.scope, ret.claims);
  return GH_ACCEPTED;
}

const char *gh_refusal_name(gh_refusal refusal) {
  static const char *const NAMES[] = {"accepted", "malformed",     "unknown-issuer", "bad-signature", "inactive",
                                      "expired",  "not-yet-valid", "wrong-audience", "bad-claims",    "unavailable"};
  return NAMES[refusal];
}

/* === keys === */

static gh_holder holder(const gatehouse_plugin_keys_holder_t *raw) {
  return (gh_holder){
      .name = gh_from_string(raw->name),
      .scopes = gh_from_strings(raw->scopes),
      .scope_count = raw->scopes.len,
      .plan = gh_from_option(raw->plan),
      .key_id = gh_from_option(raw->key_id),
  };
}

bool gh_keys_find(gh_bytes key, gh_holder *found) {
  plugin_list_u8_t raw = gh_raw_list(key);
  gatehouse_plugin_keys_holder_t ret;
  bool is_some = gatehouse_plugin_keys_find(&raw, &ret);
  if (is_some) *found = holder(&ret);
  return is_some;
}

bool gh_keys_find_of(gh_bytes name, gh_bytes key, gh_holder *found) {
  plugin_string_t raw_name = gh_raw_string(name);
  plugin_list_u8_t raw = gh_raw_list(key);
  gatehouse_plugin_keys_holder_t ret;
  bool is_some = gatehouse_plugin_keys_find_of(&raw_name, &raw, &ret);
  if (is_some) *found = holder(&ret);
  return is_some;
}

/* === rate-limit === */

static gatehouse_plugin_rate_limit_key_t key(gh_bucket by, gh_bytes text) {
  return (gatehouse_plugin_rate_limit_key_t){.tag = (uint8_t)by, .val.text = gh_raw_list(text)};
}

static gatehouse_plugin_rate_limit_policy_t policy(const gh_charge *charge) {
  return (gatehouse_plugin_rate_limit_policy_t){{charge->name != NULL, text(charge->name)}, charge->rate, charge->burst, charge->strict};
}

static gh_decision decision(const gatehouse_plugin_rate_limit_decision_t *raw) {
  return (gh_decision){raw->allowed, raw->remaining, raw->reset_ms, raw->retry_after_ms};
}

gh_decision gh_take(const gh_charge *charge) {
  gatehouse_plugin_rate_limit_policy_t raw = policy(charge);
  gatehouse_plugin_rate_limit_key_t whose = key(charge->by, charge->text);
  gatehouse_plugin_rate_limit_decision_t ret;
  gatehouse_plugin_rate_limit_take(&raw, &whose, charge->cost, &ret);
  return decision(&ret);
}

void gh_take_all(const gh_charge *charges, size_t count, gh_decision *decisions) {
  gatehouse_plugin_rate_limit_charge_t *raw = gh_alloc(sizeof *raw * count);
  for (size_t i = 0; i < count; i++) {
    const gh_charge *charge = &charges[i];
    raw[i] = (gatehouse_plugin_rate_limit_charge_t){policy(charge), key(charge->by, charge->text), charge->cost};
  }
  gatehouse_plugin_rate_limit_list_charge_t list = {raw, count};
  gatehouse_plugin_rate_limit_list_decision_t ret;
  gatehouse_plugin_rate_limit_take_all(&list, &ret);
  for (size_t i = 0; i < count && i < ret.len; i++) decisions[i] = decision(&ret.ptr[i]);
}

bool gh_enter(const char *name, gh_bucket by, gh_bytes whose, uint32_t limit) {
  plugin_string_t raw = text(name);
  gatehouse_plugin_rate_limit_key_t raw_key = key(by, whose);
  return gatehouse_plugin_rate_limit_enter(name == NULL ? NULL : &raw, &raw_key, limit);
}

/* === http === */

static gatehouse_plugin_http_request_t request(const gh_fetch *fetch) {
  gatehouse_plugin_http_field_t *fields = gh_alloc(sizeof *fields * fetch->headers.count);
  for (size_t i = 0; i < fetch->headers.count; i++) {
    const gh_field *field = &fetch->headers.fields[i];
    fields[i] = (gatehouse_plugin_http_field_t){gh_raw_string(field->name), gh_raw_list(field->value)};
  }
  return (gatehouse_plugin_http_request_t){
      .upstream = text(fetch->upstream),
      .method = gh_raw_method(fetch->method == NULL ? GH("GET") : gh_str(fetch->method)),
      .path_with_query = gh_raw_string(fetch->path_and_query),
      .headers = {fields, fetch->headers.count},
      .body = gh_raw_list(fetch->body),
      .timeout_ms = {fetch->timeout_ms != 0, fetch->timeout_ms},
  };
}

static gh_fetched fetched(const gatehouse_plugin_http_response_t *raw) {
  return (gh_fetched){GH_HTTP_OK, raw->status, gh_from_fields(raw->headers.ptr, raw->headers.len), gh_from_list(raw->body)};
}

gh_fetched gh_http_fetch(const gh_fetch *fetch) {
  gatehouse_plugin_http_request_t raw = request(fetch);
  gatehouse_plugin_http_response_t ret;
  gatehouse_plugin_http_error_t error;
  if (!gatehouse_plugin_http_fetch(&raw, &ret, &error)) return (gh_fetched){.error = (gh_http_error)(error + 1)};
  return fetched(&ret);
}

void gh_http_fetch_all(const gh_fetch *requests, size_t count, gh_fetched *responses) {
  gatehouse_plugin_http_request_t *raw = gh_alloc(sizeof *raw * count);
  for (size_t i = 0; i < count; i++) raw[i] = request(&requests[i]);
  gatehouse_plugin_http_list_request_t list = {raw, count};
  gatehouse_plugin_http_list_result_response_error_t ret;
  gatehouse_plugin_http_fetch_all(&list, &ret);
  for (size_t i = 0; i < count && i < ret.len; i++) {
    const gatehouse_plugin_http_result_response_error_t *result = &ret.ptr[i];
    responses[i] = result->is_err ? (gh_fetched){.error = (gh_http_error)(result->val.err + 1)} : fetched(&result->val.ok);
  }
}

const char *gh_http_error_name(gh_http_error error) {
  static const char *const NAMES[] = {"ok", "denied", "bad-request", "unreachable", "timeout", "reset", "too-large"};
  return NAMES[error];
}

/* === metrics === */

static gatehouse_plugin_metrics_list_label_t labels(const gh_label *labels, size_t count) {
  gatehouse_plugin_metrics_label_t *raw = gh_alloc(sizeof *raw * count);
  for (size_t i = 0; i < count; i++) raw[i] = (gatehouse_plugin_metrics_label_t){text(labels[i].name), gh_raw_string(labels[i].value)};
  return (gatehouse_plugin_metrics_list_label_t){raw, count};
}

void gh_count(const char *name, const gh_label *with, size_t label_count, uint64_t by) {
  plugin_string_t raw = text(name);
  gatehouse_plugin_metrics_list_label_t list = labels(with, label_count);
  gatehouse_plugin_metrics_count(&raw, &list, by);
}

void gh_gauge(const char *name, const gh_label *with, size_t label_count, double value) {
  plugin_string_t raw = text(name);
  gatehouse_plugin_metrics_list_label_t list = labels(with, label_count);
  gatehouse_plugin_metrics_gauge(&raw, &list, value);
}

void gh_observe(const char *name, const gh_label *with, size_t label_count, double value) {
  plugin_string_t raw = text(name);
  gatehouse_plugin_metrics_list_label_t list = labels(with, label_count);
  gatehouse_plugin_metrics_observe(&raw, &list, value);
}
