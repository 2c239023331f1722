/* Actions that ask the gateway for something and answer what came of it. */
#include "reference.h"

static gh_bytes given(const gh_request *request) {
  gh_bytes value = gh_header(request->headers, "x-in");
  return value.data == NULL ? GH("") : value;
}

static void say(void) {
  gh_log(GH_DEBUG, GH("kit debug"));
  gh_log(GH_INFO, GH("kit info"));
  gh_log(GH_WARN, GH("kit warn"));
  gh_log(GH_ERROR, GH("kit error"));
}

static void measure(void) {
  gh_count("kit_seen", &(gh_label){"kind", GH("a")}, 1, 2);
  gh_gauge("kit_level", NULL, 0, 1.5);
  gh_observe("kit_seconds", NULL, 0, 0.25);
}

static gh_bytes increment(const char *key, int64_t by) {
  int64_t sum;
  gh_kv_error error = gh_kv_increment(key, by, 0, &sum);
  return error == GH_KV_OK ? gh_number((uint64_t)sum) : gh_str(gh_kv_error_name(error));
}

static gh_bytes set(const char *key, gh_bytes value, uint64_t ttl_ms) {
  return gh_str(gh_kv_error_name(gh_kv_set(key, value, ttl_ms)));
}

static gh_bytes delete(const char *key) {
  gh_kv_delete(key);
  return GH("ok");
}

static gh_bytes store(void) {
  delete("k");
  delete("n");
  gh_bytes said[9];
  said[0] = or_dash(gh_kv_get("k"));
  said[1] = set("k", GH("v"), 60000);
  said[2] = or_dash(gh_kv_get("k"));
  said[3] = increment("n", 2);
  said[4] = increment("n", 3);
  said[5] = increment("k", 1);
  said[6] = set("big", (gh_bytes){gh_alloc(2 << 20), 2 << 20}, 0);
  said[7] = delete("k");
  said[8] = or_dash(gh_kv_get("k"));
  return gh_join(said, 9, GH(" "));
}

static gh_bytes token(const gh_request *request) {
  gh_bytes line = gh_header(request->headers, "authorization");
  return gh_starts_with(line, GH("Bearer ")) ? (gh_bytes){line.data + 7, line.len - 7} : GH("");
}

typedef gh_refusal verify(gh_bytes token, const char *const *issuers, const char *const *claims, gh_verified *verified);

static gh_bytes verified(verify *verify, const gh_request *request, const char *issuer) {
  gh_verified who;
  gh_refusal refusal = verify(token(request), (const char *[]){issuer, NULL}, (const char *[]){"role", "none", NULL}, &who);
  if (refusal != GH_ACCEPTED) return gh_str(gh_refusal_name(refusal));
  return gh_join((gh_bytes[]){who.issuer, who.subject, who.scope, or_dash(who.claims[0]), or_dash(who.claims[1])}, 5, GH(" "));
}

static gh_bytes holder(gh_bytes key) {
  gh_holder holder;
  gh_bytes found = GH("-"), named = GH("-");
  if (gh_keys_find(key, &holder)) {
    gh_bytes scopes = gh_join(holder.scopes, holder.scope_count, GH(","));
    found = gh_join((gh_bytes[]){holder.name, scopes, or_dash(holder.plan), or_dash(holder.key_id)}, 4, GH(" "));
  }
  if (gh_keys_find_of(GH("acme"), key, &holder)) named = holder.name;
  return gh_join((gh_bytes[]){found, named}, 2, GH("/"));
}

static gh_bytes decided(const gh_decision *decisions, size_t count) {
  gh_bytes said[3];
  for (size_t i = 0; i < count; i++) {
    said[i] = gh_join((gh_bytes[]){gh_str(decisions[i].allowed ? "true" : "false"), gh_number(decisions[i].remaining)}, 2, GH(" "));
  }
  return gh_join(said, count, GH(","));
}

static gh_charge charge(const char *name, gh_bytes key, uint32_t cost) {
  return (gh_charge){.name = name, .rate = 0.001, .burst = 2, .by = GH_BY_TEXT, .text = key, .cost = cost};
}

static gh_bytes take(gh_bytes key) {
  gh_charge one = charge(NULL, key, 1);
  gh_decision decisions[3];
  for (int i = 0; i < 3; i++) decisions[i] = gh_take(&one);
  return decided(decisions, 3);
}

static gh_bytes take_all(gh_bytes key) {
  gh_charge charges[] = {charge("one", key, 1), charge("two", key, 2)};
  gh_decision decisions[2];
  gh_take_all(charges, 2, decisions);
  return decided(decisions, 2);
}

static gh_bytes enter(gh_bytes key) {
  gh_bytes entered[2];
  for (int i = 0; i < 2; i++) entered[i] = gh_str(gh_enter("places", GH_BY_TEXT, key, 1) ? "true" : "false");
  return gh_join(entered, 2, GH(" "));
}

static gh_bytes fetch(const char *upstream, const gh_request *request) {
  gh_field sent = {GH("x-sent"), given(request)};
  gh_fetched answer = gh_http_fetch(&(gh_fetch){
      .upstream = upstream,
      .method = "POST",
      .path_and_query = GH("/fetched?q=1"),
      .headers = {&sent, 1},
      .body = GH("question"),
      .timeout_ms = 5000,
  });
  if (answer.error != GH_HTTP_OK) return gh_str(gh_http_error_name(answer.error));
  return gh_join((gh_bytes[]){gh_number(answer.status), or_dash(gh_header(answer.headers, "x-up")), answer.body}, 3, GH(" "));
}

static gh_bytes fetch_all(void) {
  gh_fetch requests[] = {
      {.upstream = "origin", .path_and_query = GH("/one")},
      {.upstream = "origin", .path_and_query = GH("/two")},
      {.upstream = "secret", .path_and_query = GH("/three")},
  };
  gh_fetched answers[3];
  gh_http_fetch_all(requests, 3, answers);
  gh_bytes said[3];
  for (int i = 0; i < 3; i++) {
    bool is_ok = answers[i].error == GH_HTTP_OK;
    said[i] = is_ok ? gh_join((gh_bytes[]){gh_number(answers[i].status), answers[i].body}, 2, GH(" "))
                    : gh_str(gh_http_error_name(answers[i].error));
  }
  return gh_join(said, 3, GH(","));
}

/* What came of the calls of this action; nothing if it answers nothing. */
static gh_bytes called(gh_bytes action, const gh_request *request) {
  if (is(action, "kv")) return store();
  if (is(action, "jwt")) return verified(gh_jwt_verify, request, "main");
  if (is(action, "introspection")) return verified(gh_introspect, request, "opaque");
  if (is(action, "keys")) return holder(given(request));
  if (is(action, "rate-limit")) return take(given(request));
  if (is(action, "take-all")) return take_all(given(request));
  if (is(action, "enter")) return enter(given(request));
  if (is(action, "http")) return fetch("origin", request);
  if (is(action, "http-dead")) return fetch("dead", request);
  if (is(action, "http-all")) return fetch_all();
  return GH_NONE;
}

bool answer_from_capabilities(gh_bytes action, const gh_request *request, gh_verdict *verdict) {
  if (is(action, "log")) say();
  if (is(action, "metrics")) measure();
  gh_bytes said = called(action, request);
  if (said.data != NULL) gh_reply_body(gh_respond(verdict, 200), said);
  return said.data != NULL;
}
