/* `{{name}}`: greets the upstream on every request, and answers `/hello` itself. */
#include "gatehouse.h"

static gh_bytes greeting;

const char *plugin_configure(gh_bytes config, gh_needs *needs) {
  (void)needs;
  greeting = gh_json_string(gh_json_member(gh_json_parse(config), "greeting"), GH("hello"));
  return NULL;
}

const char *plugin_on_request(const gh_request *request, gh_verdict *verdict) {
  if (gh_equal(request->path, GH("/hello"))) {
    gh_reply_text(gh_respond(verdict, 200), gh_join((gh_bytes[]){greeting, GH(" from {{name}}\n")}, 2, GH("")));
  } else {
    gh_set_header(verdict, "x-greeting", greeting);
  }
  return NULL;
}
