/* What to do: edits in their order, and answers of the plugin's own. What an author hands in is copied, since it is read
 * when the phase has returned. */
#include "internal.h"

gatehouse_plugin_types_field_t gh_raw_field(const char *name, gh_bytes value) {
  return (gatehouse_plugin_types_field_t){gh_raw_string(gh_held(gh_str(name))), gh_raw_list(gh_held(value))};
}

gatehouse_plugin_types_method_t gh_raw_method(gh_bytes name) {
  static const char *const COMMON[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
  for (uint8_t i = 0; i < GATEHOUSE_PLUGIN_TYPES_METHOD_OTHER; i++) {
    if (gh_equal(name, gh_str(COMMON[i]))) return (gatehouse_plugin_types_method_t){.tag = i};
  }
  return (gatehouse_plugin_types_method_t){GATEHOUSE_PLUGIN_TYPES_METHOD_OTHER, {gh_raw_string(gh_held(name))}};
}

plugin_list_string_t gh_raw_strings(const gh_bytes *texts, size_t count) {
  plugin_string_t *copies = gh_alloc(sizeof(plugin_string_t) * count);
  for (size_t i = 0; i < count; i++) copies[i] = gh_raw_string(gh_held(texts[i]));
  return (plugin_list_string_t){copies, count};
}

/* === Requests === */

/* The changes of a verdict. Once an answer was begun there are none to make, and they go nowhere. */
static gatehouse_plugin_types_changes_t *changes(gh_verdict *verdict) {
  static gatehouse_plugin_types_changes_t nowhere;
  if (verdict->raw.tag == GATEHOUSE_PLUGIN_TYPES_REQUEST_VERDICT_NEXT) return &verdict->raw.val.next;
  nowhere = (gatehouse_plugin_types_changes_t){0};
  return &nowhere;
}

static gatehouse_plugin_types_edit_t *edit(gh_verdict *verdict, uint8_t tag) {
  gatehouse_plugin_types_list_edit_t *edits = &changes(verdict)->request;
  gatehouse_plugin_types_edit_t *edit = gh_push(&edits->ptr, &edits->len, sizeof *edit);
  edit->tag = tag;
  return edit;
}

void gh_set_header(gh_verdict *verdict, const char *name, gh_bytes value) {
  edit(verdict, GATEHOUSE_PLUGIN_TYPES_EDIT_SET_HEADER)->val.set_header = gh_raw_field(name, value);
}

void gh_add_header(gh_verdict *verdict, const char *name, gh_bytes value) {
  edit(verdict, GATEHOUSE_PLUGIN_TYPES_EDIT_ADD_HEADER)->val.add_header = gh_raw_field(name, value);
}

void gh_remove_header(gh_verdict *verdict, const char *name) {
  edit(verdict, GATEHOUSE_PLUGIN_TYPES_EDIT_REMOVE_HEADER)->val.remove_header = gh_raw_string(gh_held(gh_str(name)));
}

void gh_set_method(gh_verdict *verdict, gh_bytes method) {
  edit(verdict, GATEHOUSE_PLUGIN_TYPES_EDIT_SET_METHOD)->val.set_method = gh_raw_method(method);
}

void gh_set_path_and_query(gh_verdict *verdict, gh_bytes path_and_query) {
  edit(verdict, GATEHOUSE_PLUGIN_TYPES_EDIT_SET_PATH_WITH_QUERY)->val.set_path_with_query = gh_raw_string(gh_held(path_and_query));
}

void gh_set_body(gh_verdict *verdict, gh_bytes body) {
  edit(verdict, GATEHOUSE_PLUGIN_TYPES_EDIT_SET_BODY)->val.set_body = gh_raw_list(gh_held(body));
}

void gh_set_client(gh_verdict *verdict, const gh_client *client) {
  edit(verdict, GATEHOUSE_PLUGIN_TYPES_EDIT_SET_CLIENT)->val.set_client = (gatehouse_plugin_types_client_t){
      .name = gh_raw_string(gh_held(client->name)),
      .method = gh_raw_string(gh_held(client->method)),
      .issuer = gh_raw_option(client->issuer),
      .scopes = gh_raw_strings(client->scopes, client->scope_count),
      .plan = gh_raw_option(client->plan),
      .claims = gh_raw_option(client->claims),
  };
}

void gh_set_request_id(gh_verdict *verdict, gh_bytes id) {
  edit(verdict, GATEHOUSE_PLUGIN_TYPES_EDIT_SET_REQUEST_ID)->val.set_request_id = gh_raw_string(gh_held(id));
}

void gh_limit_body(gh_verdict *verdict, uint64_t limit) {
  edit(verdict, GATEHOUSE_PLUGIN_TYPES_EDIT_LIMIT_BODY)->val.limit_body = limit;
}

void gh_state(gh_verdict *verdict, gh_bytes state) {
  changes(verdict)->state = (plugin_option_list_u8_t){true, gh_raw_list(gh_held(state))};
}

/* === Responses, now or later === */

static gatehouse_plugin_types_response_edit_t *push(gatehouse_plugin_types_list_response_edit_t *edits, uint8_t tag) {
  gatehouse_plugin_types_response_edit_t *edit = gh_push(&edits->ptr, &edits->len, sizeof *edit);
  edit->tag = tag;
  return edit;
}

static gatehouse_plugin_types_response_edit_t *later(gh_verdict *verdict, uint8_t tag) {
  return push(&changes(verdict)->response, tag);
}

void gh_on_response_set_header(gh_verdict *verdict, const char *name, gh_bytes value) {
  later(verdict, GATEHOUSE_PLUGIN_TYPES_RESPONSE_EDIT_SET_HEADER)->val.set_header = gh_raw_field(name, value);
}

void gh_on_response_add_header(gh_verdict *verdict, const char *name, gh_bytes value) {
  later(verdict, GATEHOUSE_PLUGIN_TYPES_RESPONSE_EDIT_ADD_HEADER)->val.add_header = gh_raw_field(name, value);
}

void gh_on_response_remove_header(gh_verdict *verdict, const char *name) {
  later(verdict, GATEHOUSE_PLUGIN_TYPES_RESPONSE_EDIT_REMOVE_HEADER)->val.remove_header = gh_raw_string(gh_held(gh_str(name)));
}

void gh_on_response_limit_body(gh_verdict *verdict, uint64_t limit) {
  later(verdict, GATEHOUSE_PLUGIN_TYPES_RESPONSE_EDIT_LIMIT_BODY)->val.limit_body = limit;
}

static gatehouse_plugin_types_response_edit_t *now(gh_response_verdict *verdict, uint8_t tag) {
  static gatehouse_plugin_types_response_edit_t nowhere;
  if (verdict->raw.tag != GATEHOUSE_PLUGIN_TYPES_RESPONSE_VERDICT_NEXT) return &nowhere;
  return push(&verdict->raw.val.next, tag);
}

void gh_response_set_header(gh_response_verdict *verdict, const char *name, gh_bytes value) {
  now(verdict, GATEHOUSE_PLUGIN_TYPES_RESPONSE_EDIT_SET_HEADER)->val.set_header = gh_raw_field(name, value);
}

void gh_response_add_header(gh_response_verdict *verdict, const char *name, gh_bytes value) {
  now(verdict, GATEHOUSE_PLUGIN_TYPES_RESPONSE_EDIT_ADD_HEADER)->val.add_header = gh_raw_field(name, value);
}

void gh_response_remove_header(gh_response_verdict *verdict, const char *name) {
  now(verdict, GATEHOUSE_PLUGIN_TYPES_RESPONSE_EDIT_REMOVE_HEADER)->val.remove_header = gh_raw_string(gh_held(gh_str(name)));
}

void gh_response_set_status(gh_response_verdict *verdict, uint16_t status) {
  now(verdict, GATEHOUSE_PLUGIN_TYPES_RESPONSE_EDIT_SET_STATUS)->val.set_status = status;
}

void gh_response_set_body(gh_response_verdict *verdict, gh_bytes body) {
  now(verdict, GATEHOUSE_PLUGIN_TYPES_RESPONSE_EDIT_SET_BODY)->val.set_body = gh_raw_list(gh_held(body));
}

/* === Chunks === */

void gh_chunk_replace(gh_chunk_verdict *verdict, gh_bytes bytes) {
  verdict->raw.tag = GATEHOUSE_PLUGIN_TYPES_CHUNK_VERDICT_REPLACE;
  verdict->raw.val.replace = gh_raw_list(gh_held(bytes));
}

/* === Answers === */

static gh_reply *begin(gatehouse_plugin_types_reply_t *reply, uint16_t status) {
  *reply = (gatehouse_plugin_types_reply_t){.status = status};
  return (gh_reply *)reply;
}

gh_reply *gh_respond(gh_verdict *verdict, uint16_t status) {
  verdict->raw.tag = GATEHOUSE_PLUGIN_TYPES_REQUEST_VERDICT_RESPOND;
  return begin(&verdict->raw.val.respond, status);
}

gh_reply *gh_response_respond(gh_response_verdict *verdict, uint16_t status) {
  verdict->raw.tag = GATEHOUSE_PLUGIN_TYPES_RESPONSE_VERDICT_RESPOND;
  return begin(&verdict->raw.val.respond, status);
}

gh_reply *gh_chunk_respond(gh_chunk_verdict *verdict, uint16_t status) {
  verdict->raw.tag = GATEHOUSE_PLUGIN_TYPES_CHUNK_VERDICT_RESPOND;
  return begin(&verdict->raw.val.respond, status);
}

void gh_reply_header(gh_reply *reply, const char *name, gh_bytes value) {
  gatehouse_plugin_types_list_field_t *headers = &reply->raw.headers;
  *(gatehouse_plugin_types_field_t *)gh_push(&headers->ptr, &headers->len, sizeof *headers->ptr) = gh_raw_field(name, value);
}

void gh_reply_body(gh_reply *reply, gh_bytes body) {
  reply->raw.body = gh_raw_list(gh_held(body));
}

void gh_reply_text(gh_reply *reply, gh_bytes text) {
  gh_reply_header(reply, "content-type", GH("text/plain; charset=utf-8"));
  gh_reply_body(reply, text);
}

void gh_reply_json(gh_reply *reply, gh_bytes json) {
  gh_reply_header(reply, "content-type", GH("application/json"));
  gh_reply_body(reply, json);
}

void gh_reply_problem(gh_reply *reply, const char *title, gh_bytes detail) {
  gh_bytes parts[] = {GH("{\"type\":\"about:blank\",\"title\":"), gh_json_quote(gh_str(title)), GH(",\"status\":"),
                      gh_number(reply->raw.status), GH(",\"detail\":"), gh_json_quote(detail), GH("}")};
  gh_reply_header(reply, "content-type", GH("application/problem+json"));
  gh_reply_body(reply, gh_join(parts, sizeof parts / sizeof *parts, GH_NONE));
}
