/* What the parts of the SDK share. No part of its API. */
#ifndef GATEHOUSE_INTERNAL_H
#define GATEHOUSE_INTERNAL_H

#include "../bindings/plugin.h"
#include "../include/gatehouse.h"

struct gh_needs {
  plugin_needs_t raw;
};

struct gh_verdict {
  plugin_request_verdict_t raw;
};

struct gh_response_verdict {
  plugin_response_verdict_t raw;
};

struct gh_chunk_verdict {
  plugin_chunk_verdict_t raw;
};

struct gh_reply {
  gatehouse_plugin_types_reply_t raw;
};

/* What was allocated so far stays for good. */
void gh_arena_keep(void);
/* What was allocated since is free. */
void gh_arena_reset(void);
/* These bytes, in memory that lasts for the call: copied, unless they are there already. */
gh_bytes gh_held(gh_bytes bytes);
/* A new item at the end of a list in the arena. It is zero. */
void *gh_push(void *list, size_t *len, size_t size);

/* Between the two forms of the same bytes. Nothing becomes empty. */
static inline plugin_string_t gh_raw_string(gh_bytes bytes) {
  return (plugin_string_t){(uint8_t *)bytes.data, bytes.len};
}

static inline plugin_list_u8_t gh_raw_list(gh_bytes bytes) {
  return (plugin_list_u8_t){(uint8_t *)bytes.data, bytes.len};
}

static inline gh_bytes gh_from_string(plugin_string_t text) {
  return (gh_bytes){(const char *)text.ptr, text.len};
}

static inline gh_bytes gh_from_list(plugin_list_u8_t list) {
  return (gh_bytes){(const char *)list.ptr, list.len};
}

static inline gh_bytes gh_from_option(plugin_option_string_t option) {
  return option.is_some ? gh_from_string(option.val) : GH_NONE;
}

static inline plugin_option_string_t gh_raw_option(gh_bytes text) {
  return (plugin_option_string_t){text.data != NULL, gh_raw_string(gh_held(text))};
}

gatehouse_plugin_types_field_t gh_raw_field(const char *name, gh_bytes value);
gatehouse_plugin_types_method_t gh_raw_method(gh_bytes name);
plugin_list_string_t gh_raw_strings(const gh_bytes *texts, size_t count);
const gh_bytes *gh_from_strings(plugin_list_string_t list);
gh_headers gh_from_fields(const gatehouse_plugin_types_field_t *fields, size_t count);

#endif
