/* The reference plugin of the conformance kit, as tests/conformance/README.md describes it: configuration and phases. */
#include <string.h>

#include "reference.h"

static settings configured;

const char *plugin_configure(gh_bytes config, gh_needs *needs) {
  gh_json document = gh_json_parse(config);
  configured.body = gh_json_string(gh_json_member(document, "body"), GH("none"));
  configured.limit = (uint32_t)gh_json_number(gh_json_member(document, "limit"), 1000);
  configured.others = gh_json_bool(gh_json_member(document, "others"), false);

  gh_need_request_header(needs, "x-in");
  gh_need_request_header(needs, "authorization");
  gh_need_response_header(needs, "x-up");
  gh_need_client(needs);
  if (configured.others) gh_need_all_request_headers(needs);
  if (is(configured.body, "buffered")) {
    gh_need_buffered_request_body(needs, configured.limit);
    gh_need_buffered_response_body(needs, configured.limit);
  } else if (is(configured.body, "streamed")) {
    gh_need_streamed_request_body(needs);
    gh_need_streamed_response_body(needs);
  } else if (!is(configured.body, "none")) {
    return gh_c_str(gh_join((gh_bytes[]){GH("body is none, buffered or streamed, not "), configured.body}, 2, GH_NONE));
  }
  return NULL;
}

static gh_bytes last_segment(gh_bytes path) {
  size_t start = path.len;
  while (start > 0 && path.data[start - 1] != '/') start--;
  return (gh_bytes){path.data + start, path.len - start};
}

const char *plugin_on_request(const gh_request *request, gh_verdict *verdict) {
  gh_bytes action = last_segment(request->path);
  begin_body(action);
  if (is(action, "error")) return "as asked";
  commit_fault(action);
  if (answer_from_head(action, request, verdict) || answer_from_capabilities(action, request, verdict)) return NULL;
  change(action, request, verdict);
  gh_state(verdict, gh_join((gh_bytes[]){action, gh_request_id(request)}, 2, GH(" ")));
  return NULL;
}

static gh_bytes first_word(gh_bytes text) {
  const char *end = text.len > 0 ? memchr(text.data, ' ', text.len) : NULL;
  return end == NULL ? text : (gh_bytes){text.data, (size_t)(end - text.data)};
}

/* STATUS and the lines of x-up. */
static gh_bytes seen(const gh_response *response) {
  gh_bytes text = gh_number(response->status);
  for (size_t i = 0;; i++) {
    gh_bytes line = gh_header_line(response->headers, "x-up", i);
    if (line.data == NULL) return text;
    text = gh_join((gh_bytes[]){text, line}, 2, i == 0 ? GH(" ") : GH("|"));
  }
}

const char *plugin_on_response(const gh_response *response, gh_response_verdict *verdict) {
  gh_bytes action = first_word(response->state);
  begin_body(action);
  if (is(action, "replace")) {
    gh_reply *reply = gh_response_respond(verdict, 203);
    gh_reply_header(reply, "x-a", GH("1"));
    gh_reply_body(reply, GH("replaced"));
  } else if (is(action, "state")) {
    gh_response_set_header(verdict, "x-state", response->state);
    gh_response_set_header(verdict, "x-id", gh_response_id(response));
  } else if (is(action, "status")) {
    gh_response_set_header(verdict, "x-seen", seen(response));
    gh_response_set_status(verdict, 202);
  } else if (is(action, "from-gateway")) {
    gh_response_set_header(verdict, "x-from-gateway", gh_str(response->from_gateway ? "true" : "false"));
  } else if (is(action, "upper") && response->body.data != NULL) {
    gh_response_set_body(verdict, gh_upper(response->body));
  }
  return NULL;
}
