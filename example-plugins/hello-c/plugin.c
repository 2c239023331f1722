/* The smallest useful plugin: says hello to the upstream and to the client. */
#include "gatehouse.h"

const char *plugin_on_request(const gh_request *request, gh_verdict *verdict) {
  gh_set_header(verdict, "x-hello-from", gh_address(request));
  gh_on_response_set_header(verdict, "x-hello", GH("world"));
  return NULL;
}
