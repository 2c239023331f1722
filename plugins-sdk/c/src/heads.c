/* Requests and responses as they are shown: headers by name, and what is written out only for those who ask. */
#include "internal.h"

gh_bytes gh_header_line(gh_headers headers, const char *name, size_t index) {
  gh_bytes wanted = gh_str(name);
  for (size_t i = 0; i < headers.count; i++) {
    if (!gh_equal_ignoring_case(headers.fields[i].name, wanted)) continue;
    if (index-- == 0) return headers.fields[i].value;
  }
  return GH_NONE;
}

gh_bytes gh_header(gh_headers headers, const char *name) {
  return gh_header_line(headers, name, 0);
}

gh_headers gh_from_fields(const gatehouse_plugin_types_field_t *fields, size_t count) {
  gh_field *lines = gh_alloc(sizeof(gh_field) * count);
  for (size_t i = 0; i < count; i++) lines[i] = (gh_field){gh_from_string(fields[i].name), gh_from_list(fields[i].value)};
  return (gh_headers){lines, count};
}

static gh_bytes hexadecimal(plugin_tuple2_u64_u64_t id) {
  char *digits = gh_alloc(32);
  for (int i = 0; i < 32; i++) {
    uint64_t half = i < 16 ? id.f0 : id.f1;
    digits[i] = "0123456789abcdef"[half >> (60 - i % 16 * 4) & 15];
  }
  return (gh_bytes){digits, 32};
}

gh_bytes gh_request_id(const gh_request *request) {
  return hexadecimal(request->raw->id);
}

gh_bytes gh_response_id(const gh_response *response) {
  return hexadecimal(response->raw->id);
}

/* Digits of a number at the end of a text that grows. printf would bring the C library's streams, and those WASI. */
static void append_number(gh_bytes *text, unsigned number, unsigned base) {
  if (number >= base) append_number(text, number / base, base);
  ((char *)text->data)[text->len++] = "0123456789abcdef"[number % base];
}

static void append(gh_bytes *text, char letter) {
  ((char *)text->data)[text->len++] = letter;
}

static void append_v4(gh_bytes *text, uint32_t address) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    append_number(text, address >> shift & 255, 10);
    if (shift > 0) append(text, '.');
  }
}

/* Where the longest run of zeros begins, two at least, the first of equals (RFC 5952 section 4.2); its length. */
static int longest_zeros(const uint16_t groups[8], int *start) {
  int longest = 1;
  for (int i = 0, run = 0; i < 8; i++) {
    run = groups[i] == 0 ? run + 1 : 0;
    if (run > longest) longest = run, *start = i - run + 1;
  }
  return longest > 1 ? longest : 0;
}

static void append_v6(gh_bytes *text, plugin_tuple2_u64_u64_t address) {
  uint16_t groups[8];
  for (int i = 0; i < 8; i++) groups[i] = (uint16_t)((i < 4 ? address.f0 : address.f1) >> (48 - i % 4 * 16));
  int start = 8, zeros = longest_zeros(groups, &start);
  for (int i = 0; i < 8; i++) {
    if (i == start) {
      append(text, ':'), append(text, ':');
      i += zeros - 1;
      continue;
    }
    if (i > 0 && i != start + zeros) append(text, ':');
    append_number(text, groups[i], 16);
  }
}

gh_bytes gh_address(const gh_request *request) {
  const gatehouse_plugin_types_ip_address_t *address = &request->raw->address;
  gh_bytes text = {gh_alloc(40), 0};
  if (address->tag == GATEHOUSE_PLUGIN_TYPES_IP_ADDRESS_IPV4) append_v4(&text, address->val.ipv4);
  else append_v6(&text, address->val.ipv6);
  return text;
}

gh_bytes gh_number(uint64_t number) {
  char *end = (char *)gh_alloc(20) + 20, *digit = end;
  do *--digit = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  return (gh_bytes){digit, (size_t)(end - digit)};
}
