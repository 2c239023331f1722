/* Between the contract's exports and the author's functions. */
#include <string.h>

#include "internal.h"

/* Those that the author does not define. */
__attribute__((weak)) const char *plugin_config_schema(void) {
  return NULL;
}

__attribute__((weak)) const char *plugin_configure(gh_bytes config, gh_needs *needs) {
  (void)config, (void)needs;
  return NULL;
}

__attribute__((weak)) const char *plugin_on_request(const gh_request *request, gh_verdict *verdict) {
  (void)request, (void)verdict;
  return NULL;
}

__attribute__((weak)) const char *plugin_on_request_body(gh_bytes chunk, bool last, gh_chunk_verdict *verdict) {
  (void)chunk, (void)last, (void)verdict;
  return NULL;
}

__attribute__((weak)) const char *plugin_on_response(const gh_response *response, gh_response_verdict *verdict) {
  (void)response, (void)verdict;
  return NULL;
}

__attribute__((weak)) const char *plugin_on_response_body(gh_bytes chunk, bool last, gh_chunk_verdict *verdict) {
  (void)chunk, (void)last, (void)verdict;
  return NULL;
}

/* The names of declared headers, which the contract only numbers. */
static plugin_list_string_t request_names, response_names;

static bool failed(const char *reason, plugin_string_t *error) {
  if (reason != NULL) *error = gh_raw_string(gh_held(gh_str(reason)));
  return reason != NULL;
}

/* === What is shown === */

static gh_headers lines(plugin_list_string_t names, const gatehouse_plugin_types_list_header_t *declared,
                        const gatehouse_plugin_types_option_list_field_t *others) {
  size_t more = others->is_some ? others->val.len : 0;
  gh_field *fields = gh_alloc(sizeof(gh_field) * (declared->len + more));
  for (size_t i = 0; i < declared->len; i++) {
    fields[i] = (gh_field){gh_from_string(names.ptr[declared->ptr[i].index]), gh_from_list(declared->ptr[i].value)};
  }
  if (more > 0) memcpy(fields + declared->len, gh_from_fields(others->val.ptr, more).fields, sizeof(gh_field) * more);
  return (gh_headers){fields, declared->len + more};
}

const gh_bytes *gh_from_strings(plugin_list_string_t list) {
  gh_bytes *texts = gh_alloc(sizeof(gh_bytes) * list.len);
  for (size_t i = 0; i < list.len; i++) texts[i] = gh_from_string(list.ptr[i]);
  return texts;
}

static const gh_client *client(const gatehouse_plugin_types_option_client_t *raw) {
  if (!raw->is_some) return NULL;
  gh_client *client = gh_alloc(sizeof *client);
  *client = (gh_client){
      .name = gh_from_string(raw->val.name),
      .method = gh_from_string(raw->val.method),
      .issuer = gh_from_option(raw->val.issuer),
      .scopes = gh_from_strings(raw->val.scopes),
      .scope_count = raw->val.scopes.len,
      .plan = gh_from_option(raw->val.plan),
      .claims = gh_from_option(raw->val.claims),
  };
  return client;
}

static gh_bytes option(const plugin_option_list_u8_t *raw) {
  return raw->is_some ? gh_from_list(raw->val) : GH_NONE;
}

static gh_bytes method(const gatehouse_plugin_types_method_t *raw) {
  static const char *const COMMON[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
  return raw->tag < GATEHOUSE_PLUGIN_TYPES_METHOD_OTHER ? gh_str(COMMON[raw->tag]) : gh_from_string(raw->val.other);
}

/* The path and, where there is one, the query of a target. */
static void split(gh_request *request) {
  gh_bytes target = request->path_and_query;
  const char *mark = target.len > 0 ? memchr(target.data, '?', target.len) : NULL;
  request->path = target;
  if (mark == NULL) return;
  request->path.len = (size_t)(mark - target.data);
  request->query = (gh_bytes){mark + 1, target.len - request->path.len - 1};
}

static gh_request shown(const plugin_request_t *raw) {
  gh_request request = {
      .method = method(&raw->method),
      .https = raw->scheme == GATEHOUSE_PLUGIN_TYPES_SCHEME_HTTPS,
      .path_and_query = gh_from_string(raw->path_with_query),
      .headers = lines(request_names, &raw->headers, &raw->others),
      .client = client(&raw->client),
      .body = option(&raw->body),
      .raw = raw,
  };
  split(&request);
  return request;
}

static gh_response shown_response(const plugin_response_t *raw) {
  return (gh_response){
      .status = raw->status,
      .headers = lines(response_names, &raw->headers, &raw->others),
      .client = client(&raw->client),
      .state = option(&raw->state),
      .from_gateway = raw->from_gateway,
      .body = option(&raw->body),
      .raw = raw,
  };
}

/* === The exports. True is success, except where an optional value is returned === */

bool exports_plugin_config_schema(plugin_string_t *ret) {
  gh_bytes schema = gh_str(plugin_config_schema());
  *ret = gh_raw_string(schema);
  return schema.data != NULL;
}

bool exports_plugin_configure(plugin_string_t *config, plugin_needs_t *ret, plugin_string_t *error) {
  gh_needs needs = {.raw.phases = GATEHOUSE_PLUGIN_TYPES_PHASES_REQUEST};
  if (failed(plugin_configure(gh_from_string(*config), &needs), error)) return false;
  request_names = needs.raw.request_headers;
  response_names = needs.raw.response_headers;
  *ret = needs.raw;
  return true;
}

bool exports_plugin_on_request(plugin_request_t *raw, plugin_request_verdict_t *ret, plugin_string_t *error) {
  gh_verdict verdict = {0};
  gh_request request = shown(raw);
  if (failed(plugin_on_request(&request, &verdict), error)) return false;
  *ret = verdict.raw;
  return true;
}

bool exports_plugin_on_request_body(plugin_list_u8_t *chunk, bool last, plugin_chunk_verdict_t *ret, plugin_string_t *error) {
  gh_chunk_verdict verdict = {0};
  if (failed(plugin_on_request_body(gh_from_list(*chunk), last, &verdict), error)) return false;
  *ret = verdict.raw;
  return true;
}

bool exports_plugin_on_response(plugin_response_t *raw, plugin_response_verdict_t *ret, plugin_string_t *error) {
  gh_response_verdict verdict = {0};
  gh_response response = shown_response(raw);
  if (failed(plugin_on_response(&response, &verdict), error)) return false;
  *ret = verdict.raw;
  return true;
}

bool exports_plugin_on_response_body(plugin_list_u8_t *chunk, bool last, plugin_chunk_verdict_t *ret, plugin_string_t *error) {
  gh_chunk_verdict verdict = {0};
  if (failed(plugin_on_response_body(gh_from_list(*chunk), last, &verdict), error)) return false;
  *ret = verdict.raw;
  return true;
}

/* === When the gateway has read a result. Stronger than those in the bindings, which free piece by piece === */

#define POST_RETURN(name, function) \
  __attribute__((export_name("cabi_post_" name))) void __wasm_export_exports_plugin_##function##_post_return(uint8_t *result)

POST_RETURN("config-schema", config_schema) {
  (void)result;
}

POST_RETURN("configure", configure) {
  (void)result;
  gh_arena_keep();
}

POST_RETURN("on-request", on_request) {
  (void)result;
  gh_arena_reset();
}

POST_RETURN("on-request-body", on_request_body) {
  (void)result;
  gh_arena_reset();
}

POST_RETURN("on-response", on_response) {
  (void)result;
  gh_arena_reset();
}

POST_RETURN("on-response-body", on_response_body) {
  (void)result;
  gh_arena_reset();
}

/* The bindings ask for an object file with the contract in it; `gatehouse plugin componentize` has it. */
void __component_type_object_force_link_plugin(void) {}
