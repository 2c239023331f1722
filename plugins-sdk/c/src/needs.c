/* What a plugin declares that it needs to see. */
#include "internal.h"

/* The index of a header is its place in the list, so a name stands there once. */
static void declare(plugin_list_string_t *names, const char *name) {
  gh_bytes wanted = gh_held(gh_lower(gh_str(name)));
  for (size_t i = 0; i < names->len; i++) {
    if (gh_equal(gh_from_string(names->ptr[i]), wanted)) return;
  }
  *(plugin_string_t *)gh_push(&names->ptr, &names->len, sizeof(plugin_string_t)) = gh_raw_string(wanted);
}

void gh_need_response_phase(gh_needs *needs) {
  needs->raw.phases |= GATEHOUSE_PLUGIN_TYPES_PHASES_RESPONSE;
}

void gh_need_no_request_phase(gh_needs *needs) {
  needs->raw.phases &= (uint8_t)~GATEHOUSE_PLUGIN_TYPES_PHASES_REQUEST;
}

void gh_need_request_header(gh_needs *needs, const char *name) {
  declare(&needs->raw.request_headers, name);
}

void gh_need_response_header(gh_needs *needs, const char *name) {
  declare(&needs->raw.response_headers, name);
  gh_need_response_phase(needs);
}

static gatehouse_plugin_types_body_mode_t buffered(uint32_t limit) {
  return (gatehouse_plugin_types_body_mode_t){.tag = GATEHOUSE_PLUGIN_TYPES_BODY_MODE_BUFFERED, .val.buffered = limit};
}

static const gatehouse_plugin_types_body_mode_t STREAMED = {.tag = GATEHOUSE_PLUGIN_TYPES_BODY_MODE_STREAMED};

void gh_need_buffered_request_body(gh_needs *needs, uint32_t limit) {
  needs->raw.request_body = buffered(limit);
}

void gh_need_streamed_request_body(gh_needs *needs) {
  needs->raw.request_body = STREAMED;
}

void gh_need_buffered_response_body(gh_needs *needs, uint32_t limit) {
  needs->raw.response_body = buffered(limit);
  gh_need_response_phase(needs);
}

void gh_need_streamed_response_body(gh_needs *needs) {
  needs->raw.response_body = STREAMED;
  gh_need_response_phase(needs);
}

void gh_need_body_type(gh_needs *needs, const char *media_type) {
  declare(&needs->raw.body_types, media_type);
}

void gh_need_client(gh_needs *needs) {
  needs->raw.wants |= GATEHOUSE_PLUGIN_TYPES_WANTS_CLIENT;
}

void gh_need_claims(gh_needs *needs) {
  needs->raw.wants |= GATEHOUSE_PLUGIN_TYPES_WANTS_CLIENT | GATEHOUSE_PLUGIN_TYPES_WANTS_CLAIMS;
}

void gh_need_all_request_headers(gh_needs *needs) {
  needs->raw.wants |= GATEHOUSE_PLUGIN_TYPES_WANTS_ALL_REQUEST_HEADERS;
}

void gh_need_all_response_headers(gh_needs *needs) {
  needs->raw.wants |= GATEHOUSE_PLUGIN_TYPES_WANTS_ALL_RESPONSE_HEADERS;
  gh_need_response_phase(needs);
}
