/* Actions on heads: headers, method, path, client, and answers of the plugin's own. */
#include <stdlib.h>
#include <string.h>

#include "reference.h"

static gh_bytes describe(const gh_request *request) {
  gh_bytes words[] = {request->method, gh_str(request->https ? "https" : "http"), request->path_and_query, gh_address(request)};
  return gh_join(words, 4, GH(" "));
}

static gh_bytes multi(gh_headers headers) {
  gh_bytes lines = gh_header(headers, "x-in");
  for (size_t i = 1;; i++) {
    gh_bytes line = gh_header_line(headers, "x-in", i);
    if (line.data == NULL) return or_dash(lines);
    lines = gh_join((gh_bytes[]){lines, line}, 2, GH("|"));
  }
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static gh_bytes others(gh_headers headers) {
  char **sorted = gh_alloc(sizeof *sorted * headers.count);
  for (size_t i = 0; i < headers.count; i++) {
    sorted[i] = gh_c_str(gh_join((gh_bytes[]){headers.fields[i].name, headers.fields[i].value}, 2, GH(": ")));
  }
  qsort(sorted, headers.count, sizeof *sorted, by_text);
  gh_bytes *lines = gh_alloc(sizeof *lines * headers.count);
  for (size_t i = 0; i < headers.count; i++) lines[i] = gh_str(sorted[i]);
  return gh_join(lines, headers.count, GH("\n"));
}

static gh_bytes described(const gh_client *client) {
  if (client == NULL) return GH("nobody");
  gh_bytes scopes = gh_join(client->scopes, client->scope_count, GH(","));
  return gh_join((gh_bytes[]){client->name, client->method, scopes, or_dash(client->plan)}, 4, GH(" "));
}

static gh_bytes all_bytes(void) {
  char *bytes = gh_alloc(256 * 1000);
  for (size_t i = 0; i < 256 * 1000; i++) bytes[i] = (char)i;
  return (gh_bytes){bytes, 256 * 1000};
}

static bool says(gh_verdict *verdict, gh_bytes text) {
  gh_reply_body(gh_respond(verdict, 200), text);
  return true;
}

static bool answer_at_length(gh_bytes action, gh_verdict *verdict) {
  if (is(action, "respond")) {
    gh_reply *reply = gh_respond(verdict, 418);
    gh_reply_header(reply, "x-a", GH("1"));
    gh_reply_header(reply, "x-a", GH("2"));
    gh_reply_body(reply, GH("short and stout"));
  } else if (is(action, "nothing")) {
    gh_respond(verdict, 204);
  } else if (is(action, "bytes")) {
    gh_reply *reply = gh_respond(verdict, 200);
    gh_reply_header(reply, "content-type", GH("application/octet-stream"));
    gh_reply_body(reply, all_bytes());
  } else if (is(action, "problem")) {
    gh_reply_problem(gh_respond(verdict, 403), "Forbidden", GH("as \"asked\""));
  } else {
    return false;
  }
  return true;
}

bool answer_from_head(gh_bytes action, const gh_request *request, gh_verdict *verdict) {
  if (is(action, "describe")) return says(verdict, describe(request));
  if (is(action, "multi")) return says(verdict, multi(request->headers));
  if (is(action, "others")) return says(verdict, others(request->headers));
  if (is(action, "client")) return says(verdict, described(request->client));
  if (is(action, "set-client") && request->client != NULL) return says(verdict, described(request->client));
  return answer_at_length(action, verdict);
}

static void edit(gh_verdict *verdict) {
  gh_set_header(verdict, "x-in", GH("new"));
  gh_add_header(verdict, "x-out", GH("one"));
  gh_add_header(verdict, "x-out", GH("two"));
  gh_remove_header(verdict, "x-gone");
  gh_on_response_set_header(verdict, "x-late", GH("1"));
  gh_on_response_add_header(verdict, "x-late", GH("2"));
  gh_on_response_remove_header(verdict, "x-gone");
}

static void set_client(gh_verdict *verdict) {
  gh_bytes scopes[] = {GH("a"), GH("b")};
  gh_set_client(verdict, &(gh_client){.name = GH("kit"), .method = GH("reference"), .scopes = scopes, .scope_count = 2, .plan = GH("gold")});
}

static void upper(const gh_request *request, gh_verdict *verdict) {
  bool is_shown = request->body.data != NULL;
  gh_set_header(verdict, "x-length", is_shown ? gh_number(request->body.len) : GH("-"));
  if (is_shown) gh_set_body(verdict, gh_upper(request->body));
}

void change(gh_bytes action, const gh_request *request, gh_verdict *verdict) {
  gh_bytes given = gh_header(request->headers, "x-in");
  if (is(action, "edit")) edit(verdict);
  if (is(action, "set-client")) set_client(verdict);
  if (is(action, "upper")) upper(request, verdict);
  if (is(action, "request-id")) gh_set_request_id(verdict, GH("kit-1"));
  if (is(action, "limit-body")) gh_limit_body(verdict, 10);
  if (is(action, "forbidden")) gh_set_header(verdict, "content-length", GH("1"));
  if (is(action, "binary")) {
    gh_set_header(verdict, "x-out", given);
    gh_on_response_set_header(verdict, "x-out", given);
  }
  if (is(action, "rewrite")) {
    gh_set_method(verdict, GH("PURGE"));
    gh_set_path_and_query(verdict, GH("/changed?by=plugin"));
  }
}
