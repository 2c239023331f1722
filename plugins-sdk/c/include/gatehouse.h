/*
 * Write a Gatehouse plugin in C: define the functions of the phases you want, and say what to do with the functions
 * of this header. What the values mean is in ../bindings/plugin.h, generated from the contract in wit/.
 *
 * Memory: everything a function here hands out, and everything it is handed, lasts until the phase has returned; what
 * `plugin_configure` allocates lasts as long as the instance. Nothing has to be freed. What must outlast a call
 * goes into `gh_state`, into `gh_kv_set`, or (for the chunks of one body) into memory of your own.
 */
#ifndef GATEHOUSE_H
#define GATEHOUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of any kind, without an end mark. `data` is NULL where there is nothing, which is not the same as empty. */
typedef struct gh_bytes {
  const char *data;
  size_t len;
} gh_bytes;

/* The bytes of a literal: GH("text"). */
#define GH(literal) ((gh_bytes){"" literal, sizeof(literal) - 1})
#define GH_NONE ((gh_bytes){NULL, 0})

gh_bytes gh_str(const char *text);                        /* of a text that ends in NUL; NULL is nothing */
bool gh_equal(gh_bytes a, gh_bytes b);
bool gh_equal_ignoring_case(gh_bytes a, gh_bytes b);      /* ASCII letters */
bool gh_starts_with(gh_bytes text, gh_bytes start);
gh_bytes gh_upper(gh_bytes text);                         /* a copy with ASCII letters in capitals */
gh_bytes gh_lower(gh_bytes text);
gh_bytes gh_trim(gh_bytes text);                          /* without spaces and tabs at its ends; not a copy */
void *gh_alloc(size_t size);                              /* memory for this call; traps when there is none */
gh_bytes gh_number(uint64_t number);                      /* in decimal digits */
gh_bytes gh_join(const gh_bytes *texts, size_t count, gh_bytes between);
/* As printf. It brings the C library's streams along: 30 KB, and imports of WASI, which the gateway answers with nothing. */
gh_bytes gh_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *gh_c_str(gh_bytes text);                            /* a copy that ends in NUL */

/* === Heads === */

typedef struct gh_field {
  gh_bytes name;                                          /* in lower case */
  gh_bytes value;
} gh_field;

/* Header lines in order, those that were shown. */
typedef struct gh_headers {
  const gh_field *fields;
  size_t count;
} gh_headers;

typedef struct gh_client {
  gh_bytes name;
  gh_bytes method;                                        /* api-key, basic-auth, jwt, introspection, or what a plugin said */
  gh_bytes issuer;                                        /* nothing where there is none */
  const gh_bytes *scopes;
  size_t scope_count;
  gh_bytes plan;
  gh_bytes claims;                                        /* a JSON object */
} gh_client;

typedef struct gh_request {
  gh_bytes method;
  bool https;
  gh_bytes path_and_query;                                /* normalised */
  gh_bytes path;
  gh_bytes query;                                         /* what stands after the `?`; nothing where there is none */
  gh_headers headers;
  const gh_client *client;                                /* NULL: not asked for, or nobody was authenticated */
  gh_bytes body;                                          /* nothing: not asked for buffered, or passed by */
  const struct gatehouse_plugin_types_request_t *raw;
} gh_request;

typedef struct gh_response {
  uint16_t status;
  gh_headers headers;
  const gh_client *client;
  gh_bytes state;                                         /* what gh_state kept for this request */
  bool from_gateway;                                      /* whether the gateway itself made this answer */
  gh_bytes body;
  const struct gatehouse_plugin_types_response_t *raw;
} gh_response;

gh_bytes gh_header(gh_headers headers, const char *name);             /* the first line, of any case */
gh_bytes gh_header_line(gh_headers headers, const char *name, size_t index); /* one of several, from 0; nothing after the last */
gh_bytes gh_address(const gh_request *request);                       /* the client's address, as text */
gh_bytes gh_request_id(const gh_request *request);                    /* 32 hexadecimal digits */
gh_bytes gh_response_id(const gh_response *response);

/* === What a plugin needs to see: nothing else is shown, no other phase is called === */

typedef struct gh_needs gh_needs;

void gh_need_request_header(gh_needs *needs, const char *name);
void gh_need_response_header(gh_needs *needs, const char *name);      /* and the response phase */
void gh_need_response_phase(gh_needs *needs);
void gh_need_no_request_phase(gh_needs *needs);                       /* a plugin for responses alone */
void gh_need_buffered_request_body(gh_needs *needs, uint32_t limit);  /* longer ones are answered with 413 */
void gh_need_streamed_request_body(gh_needs *needs);
void gh_need_buffered_response_body(gh_needs *needs, uint32_t limit); /* longer ones are answered with 502 */
void gh_need_streamed_response_body(gh_needs *needs);
void gh_need_body_type(gh_needs *needs, const char *media_type);      /* such as application/json, text/ *; none is all */
void gh_need_client(gh_needs *needs);
void gh_need_claims(gh_needs *needs);
void gh_need_all_request_headers(gh_needs *needs);
void gh_need_all_response_headers(gh_needs *needs);

/* === What to do: a verdict goes on without a change until something is said, edits apply in order === */

typedef struct gh_verdict gh_verdict;
typedef struct gh_response_verdict gh_response_verdict;
typedef struct gh_chunk_verdict gh_chunk_verdict;

/* An answer by the plugin itself. Its headers and body are added after it was begun. */
typedef struct gh_reply gh_reply;

void gh_set_header(gh_verdict *verdict, const char *name, gh_bytes value);    /* one line for all of that name */
void gh_add_header(gh_verdict *verdict, const char *name, gh_bytes value);
void gh_remove_header(gh_verdict *verdict, const char *name);
void gh_set_method(gh_verdict *verdict, gh_bytes method);
void gh_set_path_and_query(gh_verdict *verdict, gh_bytes path_and_query);
void gh_set_body(gh_verdict *verdict, gh_bytes body);
void gh_set_client(gh_verdict *verdict, const gh_client *client);             /* needs the grant `identity` */
void gh_set_request_id(gh_verdict *verdict, gh_bytes id);
void gh_limit_body(gh_verdict *verdict, uint64_t limit);
void gh_state(gh_verdict *verdict, gh_bytes state);                           /* handed back in gh_response.state */
/* For the response, whatever it will be: cheaper than a response phase. */
void gh_on_response_set_header(gh_verdict *verdict, const char *name, gh_bytes value);
void gh_on_response_add_header(gh_verdict *verdict, const char *name, gh_bytes value);
void gh_on_response_remove_header(gh_verdict *verdict, const char *name);
void gh_on_response_limit_body(gh_verdict *verdict, uint64_t limit);
gh_reply *gh_respond(gh_verdict *verdict, uint16_t status);                   /* answer now */

void gh_response_set_header(gh_response_verdict *verdict, const char *name, gh_bytes value);
void gh_response_add_header(gh_response_verdict *verdict, const char *name, gh_bytes value);
void gh_response_remove_header(gh_response_verdict *verdict, const char *name);
void gh_response_set_status(gh_response_verdict *verdict, uint16_t status);
void gh_response_set_body(gh_response_verdict *verdict, gh_bytes body);
gh_reply *gh_response_respond(gh_response_verdict *verdict, uint16_t status); /* answer this instead */

void gh_chunk_replace(gh_chunk_verdict *verdict, gh_bytes bytes);             /* empty holds the chunk back */
gh_reply *gh_chunk_respond(gh_chunk_verdict *verdict, uint16_t status);       /* in a request body alone */

void gh_reply_header(gh_reply *reply, const char *name, gh_bytes value);
void gh_reply_body(gh_reply *reply, gh_bytes body);
void gh_reply_text(gh_reply *reply, gh_bytes text);                           /* as text/plain */
void gh_reply_json(gh_reply *reply, gh_bytes json);                           /* as application/json */
void gh_reply_problem(gh_reply *reply, const char *title, gh_bytes detail);   /* RFC 9457 */

/* === The phases: define those you want; the others do nothing ===
 * A phase returns NULL, or an error in words: in plugin_configure it refuses the configuration, elsewhere it is a fault. */

const char *plugin_config_schema(void);                   /* the JSON Schema of the configuration, or NULL */
const char *plugin_configure(gh_bytes config, gh_needs *needs);
const char *plugin_on_request(const gh_request *request, gh_verdict *verdict);
const char *plugin_on_request_body(gh_bytes chunk, bool last, gh_chunk_verdict *verdict);
const char *plugin_on_response(const gh_response *response, gh_response_verdict *verdict);
const char *plugin_on_response_body(gh_bytes chunk, bool last, gh_chunk_verdict *verdict);

/* === JSON === */

typedef enum gh_json_kind { GH_JSON_MISSING, GH_JSON_NULL, GH_JSON_BOOL, GH_JSON_NUMBER, GH_JSON_STRING, GH_JSON_ARRAY, GH_JSON_OBJECT } gh_json_kind;

/* A value in a document. Looking into what is missing or of another kind gives what is missing. */
typedef struct gh_json {
  gh_json_kind kind;
  const char *text;
  const void *token;
} gh_json;

gh_json gh_json_parse(gh_bytes text);                     /* missing, if it is no JSON */
size_t gh_json_count(gh_json value);                      /* items of an array, members of an object */
gh_json gh_json_member(gh_json object, const char *name);
gh_json gh_json_member_at(gh_json object, size_t index, gh_bytes *name);
gh_json gh_json_item(gh_json array, size_t index);
gh_bytes gh_json_string(gh_json value, gh_bytes otherwise);
double gh_json_number(gh_json value, double otherwise);
bool gh_json_bool(gh_json value, bool otherwise);
gh_bytes gh_json_text(gh_json value);                     /* as it was written */
gh_bytes gh_json_quote(gh_bytes text);                    /* a JSON string of this text, in quotes */

/* === Capabilities: a plugin imports those it uses, and the operator grants them by name === */

typedef enum gh_level { GH_DEBUG, GH_INFO, GH_WARN, GH_ERROR } gh_level;

void gh_log(gh_level level, gh_bytes message);

typedef enum gh_kv_error { GH_KV_OK, GH_KV_QUOTA, GH_KV_NOT_A_COUNTER } gh_kv_error;

/* `ttl_ms` 0 keeps a value until it is deleted. */
gh_bytes gh_kv_get(const char *key);
gh_kv_error gh_kv_set(const char *key, gh_bytes value, uint64_t ttl_ms);
void gh_kv_delete(const char *key);
gh_kv_error gh_kv_increment(const char *key, int64_t delta, uint64_t ttl_ms, int64_t *sum);
const char *gh_kv_error_name(gh_kv_error error);          /* as in wit/kv.wit */

typedef enum gh_refusal {
  GH_ACCEPTED,
  GH_MALFORMED,
  GH_UNKNOWN_ISSUER,
  GH_BAD_SIGNATURE,
  GH_INACTIVE,
  GH_EXPIRED,
  GH_NOT_YET_VALID,
  GH_WRONG_AUDIENCE,
  GH_BAD_CLAIMS,
  GH_UNAVAILABLE,                                         /* the issuer, or its keys: answer 503, not 401 */
} gh_refusal;

typedef struct gh_verified {
  gh_bytes issuer;
  gh_bytes subject;
  gh_bytes scope;                                         /* separated by spaces */
  const gh_bytes *claims;                                 /* as many as were asked for, in that order; nothing where there is none */
} gh_verified;

/* `issuers` and `claims` are lists of names that end in NULL; NULL is an empty list. Without issuers all are allowed. */
gh_refusal gh_jwt_verify(gh_bytes token, const char *const *issuers, const char *const *claims, gh_verified *verified);
gh_refusal gh_introspect(gh_bytes token, const char *const *issuers, const char *const *claims, gh_verified *verified);
const char *gh_refusal_name(gh_refusal refusal);          /* as in wit/jwt.wit */

typedef struct gh_holder {
  gh_bytes name;
  const gh_bytes *scopes;
  size_t scope_count;
  gh_bytes plan;
  gh_bytes key_id;
} gh_holder;

bool gh_keys_find(gh_bytes key, gh_holder *holder);
bool gh_keys_find_of(gh_bytes name, gh_bytes key, gh_holder *holder);

typedef enum gh_bucket { GH_BY_CLIENT, GH_BY_ADDRESS, GH_BY_ROUTE, GH_BY_API_KEY, GH_BY_TEXT } gh_bucket;

/* One take: `cost` tokens out of the bucket of `by` (or of `text`), which fills with `rate` a second up to `burst`. */
typedef struct gh_charge {
  const char *name;                                       /* policies of one name share their buckets; NULL: this use alone */
  double rate;
  uint32_t burst;
  bool strict;
  gh_bucket by;
  gh_bytes text;
  uint32_t cost;
} gh_charge;

typedef struct gh_decision {
  bool allowed;
  uint32_t remaining;
  uint64_t reset_ms;
  uint64_t retry_after_ms;
} gh_decision;

gh_decision gh_take(const gh_charge *charge);
void gh_take_all(const gh_charge *charges, size_t count, gh_decision *decisions); /* from all, or from none; 8 at most */
bool gh_enter(const char *name, gh_bucket by, gh_bytes text, uint32_t limit);     /* a place, until the response was sent */

typedef enum gh_http_error {
  GH_HTTP_OK,
  GH_HTTP_DENIED,
  GH_HTTP_BAD_REQUEST,
  GH_HTTP_UNREACHABLE,
  GH_HTTP_TIMEOUT,
  GH_HTTP_RESET,
  GH_HTTP_TOO_LARGE,
} gh_http_error;

typedef struct gh_fetch {
  const char *upstream;                                   /* one of those granted */
  const char *method;                                     /* NULL: GET */
  gh_bytes path_and_query;
  gh_headers headers;
  gh_bytes body;
  uint32_t timeout_ms;                                    /* 0: the plugin's own limit alone */
} gh_fetch;

typedef struct gh_fetched {
  gh_http_error error;                                    /* the rest counts when it is GH_HTTP_OK */
  uint16_t status;
  gh_headers headers;
  gh_bytes body;
} gh_fetched;

gh_fetched gh_http_fetch(const gh_fetch *request);
void gh_http_fetch_all(const gh_fetch *requests, size_t count, gh_fetched *responses); /* at once; 16 at most */
const char *gh_http_error_name(gh_http_error error);      /* as in wit/http.wit */

typedef struct gh_label {
  const char *name;
  gh_bytes value;
} gh_label;

void gh_count(const char *name, const gh_label *labels, size_t label_count, uint64_t by);
void gh_gauge(const char *name, const gh_label *labels, size_t label_count, double value);
void gh_observe(const char *name, const gh_label *labels, size_t label_count, double value);

#endif
