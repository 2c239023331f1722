//! One document, or one mistake, for each kind of problem. What is expected was written by hand.

use std::path::Path;
use std::sync::Arc;

use crate::config::source::{Source, Sources};
use crate::config::{Code, Finding, KeyPath, Loaded, Problems, Reviewed, Stock, load_sources};

const BUILT_INS: [&str; 5] = ["jwt", "oauth2-introspection", "rate-limit", "transform", "aggregate"];

// The example of the contract, whole.
const CONTRACT: &str = r#"
listeners:
  - {name: public, address: "127.0.0.1:8080"}
admin: {address: "127.0.0.1:9080"}
upstreams:
  - name: orders
    endpoints: [{url: "http://127.0.0.1:9001", weight: 1}]
    balance: {algorithm: peak_ewma}
    health: {active: {path: /healthz}, outlier: {consecutive_5xx: 5}}
    circuit_breaker: {}
    retry: {attempts: 2, budget: 20%}
    timeouts: {connect: 1s, first_byte: 15s, request: 30s}
issuers:
  - {name: main, issuer: "https://issuer.example", audiences: [api], algorithms: [RS256, ES256], jwks: {url: "https://issuer.example/jwks"}}
clients:
  - {name: acme, keys: [{sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}], scopes: [orders.read]}
plugins:
  - name: acme-header
    source: {file: ./acme.wasm}
    isolation: request
    limits: {memory: 32MiB, cpu: 10ms, wall: 1s}
    grants: [log, kv, http: [orders]]
    on_error: closed
routes:
  - name: orders
    hosts: ["api.example.com"]
    match: [{path: {prefix: /orders}, methods: [GET, POST], headers: [{name: x-tier, exact: gold}], query: []}]
    chain:
      - {plugin: jwt, config: {issuer: main, claims_to_headers: {sub: x-user}}}
      - {plugin: rate-limit, config: {rate: 100, burst: 200, key: client}}
      - {plugin: transform, config: {request: {headers: {set: {x-gateway: gatehouse}}}}}
    upstream: orders
"#;

/// What `gatehouse check` knows.
fn stock() -> Stock {
    Stock { built_ins: BUILT_INS.to_vec(), uploaded: None }
}

fn load_files(texts: &[&str]) -> Result<Loaded, Problems> {
    let files = texts.iter().enumerate().map(|(index, text)| Source::new(format!("{index}.yaml"), *text));
    load_sources(Sources::new(files.collect(), "/etc/gatehouse"), &stock())
}

// Each problem as its first line without the name of the file.
fn printed(problems: &Problems) -> Vec<String> {
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_string();
    problems.iter().map(|problem| first_line(problem.to_string())).map(|line| line["0.yaml:".len()..].to_string()).collect()
}

#[track_caller]
fn refuses(text: &str, expected: &[&str]) {
    let problems = load_files(&[text]).expect_err("the document is wrong");
    assert_eq!(printed(&problems), expected, "the problems of {text}");
}

#[track_caller]
fn accepts(text: &str) -> Loaded {
    match load_files(&[text]) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{text}\nshould be accepted:\n{problems}"),
    }
}

#[test]
fn the_example_of_the_contract_is_accepted() {
    let loaded = accepts(CONTRACT);
    let document = &loaded.document;
    assert_eq!(document.upstreams[0].timeouts.connect.to_string(), "1s", "a duration");
    assert_eq!(document.upstreams[0].timeouts.keep_alive.to_string(), "1m", "a default");
    assert_eq!(document.plugins[0].limits.host_calls, 1000, "a default of a plugin");
    assert_eq!(document.routes[0].chain[1].config["rate"], 100, "a config of a plugin");
    assert_eq!(loaded.sources.resolve(Path::new("./acme.wasm")), Path::new("/etc/gatehouse/./acme.wasm"), "beside the file");
}

#[test]
fn what_is_not_in_force_is_a_warning() {
    assert!(accepts(CONTRACT).warnings.is_empty(), "everything of the contract is");
    let warnings = accepts("upstreams: [{name: a, discovery: {etcd: {prefix: /a/}}}]\nroutes: [{name: a, upstream: a}]").warnings;
    assert_eq!(
        printed(&warnings),
        ["1:23: upstreams[0].discovery: got discovery, want to be left out: accepted, not in force in this version"],
        "one for each setting"
    );
}

#[test]
fn what_is_tried_again_has_to_make_sense() {
    let check = |retry: &str, problem: &str| {
        let text =
            format!("upstreams: [{{name: a, endpoints: [{{url: 'http://a:1'}}], retry: {{{retry}}}}}]\nroutes: [{{name: a, upstream: a}}]");
        let problems = printed(&load_files(&[&text]).expect_err("the document is wrong"));
        assert!(problems.iter().any(|found| found.contains(problem)), "{retry}: {problems:?}");
    };
    check("statuses: [200]", "retry.statuses[0]: got 200, want 400 to 599");
    check("hedge: {after: p101}", "retry.hedge.after: got \"p101\" (not a percentile), want a percentile from p50 to p99, or a duration");
    check("attempts: 1, hedge: {}", "retry.hedge: got attempts of 1, want attempts of 2 or more");
    check("hedge: {after: 0s}", "a percentile from p50 to p99, or a duration such as 50ms");
    check("on: [never]", "retry.on[0]");
}

#[test]
fn no_ejection_begins_longer_than_the_longest() {
    let with = |outlier: &str| {
        format!(
            "upstreams: [{{name: a, endpoints: [{{url: 'http://a:1'}}], health: {{outlier: {{{outlier}}}}}}}]\nroutes: [{{name: a, upstream: a}}]"
        )
    };
    accepts(&with("base_ejection: 5m"));
    let problems = printed(&load_files(&[&with("base_ejection: 10m")]).expect_err("longer than the longest by default"));
    assert!(problems.iter().any(|found| found.contains("base_ejection: got 10m, want at most max_ejection, which is 5m")), "{problems:?}");
}

#[test]
fn discovery_by_dns_asks_for_a_name_that_can_be_looked_up() {
    let dns =
        |settings: &str| format!("upstreams: [{{name: a, discovery: {{dns: {{{settings}}}}}}}]\nroutes: [{{name: a, upstream: a}}]\n");
    for good in
        ["name: orders", "name: orders.internal., port: 80", "name: _http._tcp.a, record: srv, servers: ['127.0.0.1:5300', '[::1]:53']"]
    {
        assert!(accepts(&dns(good)).warnings.is_empty(), "{good}");
    }
    refuses(
        &dns("name: 10.0.0.1, port: 0"),
        &[
            "1:47: upstreams[0].discovery.dns.name: got \"10.0.0.1\", want a name; an address needs no DNS and belongs to endpoints",
            "1:63: upstreams[0].discovery.dns.port: got 0, want 1 to 65535",
        ],
    );
    refuses(
        &dns("name: a..b, record: srv, port: 80"),
        &[
            "1:47: upstreams[0].discovery.dns.name: got \"a..b\", want a DNS name such as orders.internal or _http._tcp.orders.internal",
            "1:66: upstreams[0].discovery.dns.port: got a port, want record: address, since SRV records bring their own",
        ],
    );
    refuses(
        &dns("name: a, servers: ['127.0.0.1:0'], min_ttl: 0s, max_ttl: 1s"),
        &[
            "1:60: upstreams[0].discovery.dns.servers[0]: got 127.0.0.1:0, want a port from 1 to 65535, such as 53",
            "1:85: upstreams[0].discovery.dns.min_ttl: got 0s, want more than 0s",
        ],
    );
    refuses(&dns("name: a, max_ttl: 1s"), &["1:59: upstreams[0].discovery.dns.max_ttl: got 1s, want 5s (min_ttl) or more"]);
}

#[test]
fn an_upstream_without_a_route_is_noticed() {
    let loaded = accepts("upstreams:\n  - {name: a, endpoints: [{url: 'http://a:1'}], balance: {algorithm: round_robin}}\n");
    assert_eq!(
        printed(&loaded.warnings),
        ["2:5: upstreams[0]: got the upstream \"a\", want a route or a grant that leads to it",],
        "the only warning"
    );
}

#[test]
fn keys_that_others_can_change_on_their_way_are_a_warning() {
    let issuer = |url: &str| format!("issuers:\n  - {{name: a, issuer: a, audiences: [x], algorithms: [RS256], jwks: {{url: '{url}'}}}}\n");
    for url in ["https://10.0.0.1/keys", "http://127.0.0.1:9/keys", "http://[::1]:9/keys", "http://localhost/keys"] {
        assert!(accepts(&issuer(url)).warnings.is_empty(), "{url}");
    }
    assert_eq!(
        printed(&accepts(&issuer("http://10.0.0.1/keys")).warnings),
        [
            "2:75: issuers[0].jwks.url: got \"http://10.0.0.1/keys\", want https: whoever can change the keys on their way here can sign tokens"
        ],
        "a host that is not this one"
    );
}

#[test]
fn an_empty_document_listens_on_the_default_address() {
    for text in ["", "routes:\n", "# nothing\n", "routes: []\nlisteners:\n"] {
        let document = accepts(text).document;
        assert_eq!(document.listeners[0].address.to_string(), "127.0.0.1:8080", "the default of {text:?}");
    }
}

#[test]
fn a_document_that_is_printed_and_read_again_is_the_same() {
    let document = accepts(CONTRACT).document;
    let text = serde_json::to_string_pretty(&document).expect("plain data");
    assert_eq!(accepts(&text).document, document, "through {text}");
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    refuses(
        "route: []\n",
        &["1:1: route: got the unknown key \"route\", want one of access_log, admin, clients, drain, identity, issuers, listeners, \
         plugin_signatures, plugins, routes, telemetry, upstreams (hint: did you mean routes?)"],
    );
    refuses(
        "admin: {adress: '127.0.0.1:1'}\n",
        &["1:9: admin.adress: got the unknown key \"adress\", want one of address, keep, tls (hint: did you mean address?)"],
    );
    refuses(
        "upstreams: [{name: a, endpoints: [{url: 'http://a:1'}], health: {activ: {path: /}}}]\n",
        &["1:66: upstreams[0].health.activ: got the unknown key \"activ\", want active or outlier (hint: did you mean active?)"],
    );
    refuses(
        "plugins: [{name: a, source: {file: a.wasm}, grants: [{htp: [b]}]}]\n",
        &[
            "1:54: plugins[0].grants[0].http: got nothing, want \"http\", which is required",
            "1:55: plugins[0].grants[0].htp: got the unknown key \"htp\", want http (hint: did you mean http?)",
        ],
    );
}

#[test]
fn missing_keys_are_shown_at_the_item() {
    refuses("routes:\n  - chain: [{plugin: jwt}]\n", &["2:5: routes[0].name: got nothing, want \"name\", which is required"]);
}

#[test]
fn wrong_types_say_what_belongs_there() {
    refuses("listeners: {name: a}\n", &["1:12: listeners: got a map, want a list"]);
    refuses("[]\n", &["1:1: got a list, want a map"]);
    refuses(
        "listeners: [{name: 1, address: '127.0.0.1:1', http2: yes}]\n",
        &[
            "1:20: listeners[0].name: got 1, want a text (hint: write \"1\" in quotes)",
            "1:54: listeners[0].http2: got \"yes\", want true or false (hint: write true)",
        ],
    );
    refuses(
        "routes: [{name: a, chain: [{plugin: jwt}], hosts: a.example}]\n",
        &["1:51: routes[0].hosts: got \"a.example\", want a list (hint: write [\"a.example\"])"],
    );
    refuses(
        "drain: {deadline: 10}\n",
        &["1:19: drain.deadline: got 10, want a duration such as 10ms, 1s or 5m (hint: write 10s for seconds)"],
    );
}

#[test]
fn wrong_values_say_what_is_wrong_with_them() {
    refuses(
        "drain: {deadline: 10sec}\n",
        &["1:19: drain.deadline: got \"10sec\" (unknown unit sec), want a duration such as 10ms, 1s or 5m"],
    );
    refuses(
        "listeners: [{name: a, address: localhost:1, limits: {body: 1Mib, headers: -1}}]\n",
        &[
            "1:32: listeners[0].address: got \"localhost:1\" (not an IP address with a port), want an IP address and a port such as 127.0.0.1:8080",
            "1:60: listeners[0].limits.body: got \"1Mib\" (unknown unit Mib), want a size such as 32MiB, 10KB or 4096",
            "1:75: listeners[0].limits.headers: got -1, want 0 or more",
        ],
    );
    refuses(
        "listeners: [{name: a, address: '127.0.0.1:1', trusted_proxies: [10.0.0.0/40]}]\n",
        &["1:65: listeners[0].trusted_proxies[0]: got \"10.0.0.0/40\" (not a network), want a network such as 10.0.0.0/8 or an address"],
    );
    refuses(
        "clients: [{name: a, keys: [{sha256: abc, expires: tomorrow}]}]\n",
        &[
            "1:37: clients[0].keys[0].sha256: got \"abc\" (3 characters long), want 64 hex digits",
            "1:51: clients[0].keys[0].expires: got \"tomorrow\" (timestamp format is invalid), want a date and time such as 2027-01-31T12:00:00Z",
        ],
    );
    refuses(
        "upstreams: [{name: a, endpoints: [{url: 'http://a:1', weight: 4294967296}]}]\n",
        &["1:63: upstreams[0].endpoints[0].weight: got 4294967296, want 4294967295 or less"],
    );
}

#[test]
fn wrong_choices_are_shown_with_the_right_ones() {
    refuses(
        "plugins: [{name: a, source: {file: a.wasm}, isolation: reques, on_error: open}]\n",
        &[
            "1:56: plugins[0].isolation: got \"reques\", want request or reuse (hint: did you mean request?)",
            "1:74: plugins[0].on_error: got \"open\", want one of closed, skip, previous",
        ],
    );
    refuses(
        "plugins: [{name: a, source: {file: a.wasm}, grants: [lg, http]}]\n",
        &[
            "1:54: plugins[0].grants[0]: got \"lg\", want one of log, kv, jwt, introspection, keys, rate-limit, metrics, identity (hint: did you mean log?)",
            "1:58: plugins[0].grants[1]: got \"http\", want one of log, kv, jwt, introspection, keys, rate-limit, metrics, identity (hint: write http: [UPSTREAM, …])",
        ],
    );
    refuses(
        "issuers: [{name: a, issuer: a, audiences: [b], algorithms: [none], jwks: {file: a.json}}]\n",
        &[
            "1:61: issuers[0].algorithms[0]: got \"none\", want one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384, HS512",
        ],
    );
}

#[test]
fn a_number_serde_refuses_and_the_schema_does_not_is_still_reported() {
    refuses(
        "upstreams: [{name: a, endpoints: [{url: 'http://a:1', weight: 1.0}]}]\n",
        &["1:13: upstreams[0]: got invalid type: floating point `1.0`, expected u32, want a valid item"],
    );
}

#[test]
fn references_to_nothing_are_shown_with_the_nearest_name() {
    let text = "\
upstreams: [{name: orders, endpoints: [{url: 'http://a:1'}]}]
issuers: [{name: main, issuer: a, audiences: [b], algorithms: [RS256], jwks: {file: a.json}}]
plugins: [{name: mine, source: {file: a.wasm}, grants: [http: [order]]}]
routes:
  - name: a
    chain:
      - {plugin: jwk, config: {}}
      - {plugin: jwt, config: {issuer: mian}}
      - {plugin: aggregate, config: {parts: [{upstream: ordres}]}}
    upstream: users
  - {name: b, upstreams: [{name: orders, weight: 1}, {name: odrers, weight: 1}]}
";
    refuses(
        text,
        &[
            "3:64: plugins[0].grants[0].http[0]: got \"order\", want the name of an upstream (hint: did you mean orders?)",
            "7:18: routes[0].chain[0].plugin: got \"jwk\", want the name of a plugin (hint: did you mean jwt?)",
            "8:40: routes[0].chain[1].config.issuer: got \"mian\", want the name of an issuer (hint: did you mean main?)",
            "9:57: routes[0].chain[2].config.parts[0].upstream: got \"ordres\", want the name of an upstream (hint: did you mean orders?)",
            "10:15: routes[0].upstream: got \"users\", want the name of an upstream",
            "11:61: routes[1].upstreams[1].name: got \"odrers\", want the name of an upstream (hint: did you mean orders?)",
        ],
    );
}

#[test]
fn an_issuer_is_of_the_kind_that_its_plugin_asks() {
    let text = "\
issuers:
  - {name: signs, issuer: a, audiences: [b], algorithms: [RS256], jwks: {file: a.json}}
  - {name: answers, issuer: b, introspection: {url: 'https://b/i', client_id: c, client_secret: {env: HOME}}}
routes:
  - name: a
    chain:
      - {plugin: jwt, config: {issuers: [signs, answers]}}
      - {plugin: oauth2-introspection, config: {issuer: signs}}
";
    refuses(
        text,
        &[
            "7:49: routes[0].chain[0].config.issuers[1]: got \"answers\", want an issuer with algorithms and keys",
            "8:57: routes[0].chain[1].config.issuer: got \"signs\", want an issuer with introspection",
        ],
    );
}

#[test]
fn an_issuer_has_a_secret_or_public_keys_and_a_slip_of_case_is_understood() {
    refuses(
        "issuers: [{name: a, issuer: a, audiences: [b], algorithms: [hs256], secret: {env: HOME}}]\n",
        &[
            "1:61: issuers[0].algorithms[0]: got \"hs256\", want one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384, HS512 (hint: did you mean HS256?)",
        ],
    );
    refuses(
        "issuers: [{name: a, issuer: a, audiences: [b], algorithms: [HS256], secret: {env: HOME}, jwks: {file: a.json}}]\n",
        &["1:11: issuers[0]: got jwks and secret, want one of them, or an issuer for each"],
    );
}

#[test]
fn a_users_plugin_under_a_built_ins_name_has_a_config_of_its_own() {
    accepts("plugins: [{name: jwt, source: {file: a.wasm}}]\nroutes: [{name: a, chain: [{plugin: jwt, config: {issuer: x}}]}]\n");
}

#[test]
fn names_are_used_once_and_hold_no_blanks() {
    refuses(
        "clients: [{name: a}, {name: a}, {name: 'a b'}]\n",
        &[
            "1:29: clients[1].name: got \"a\", want a name of its own (hint: clients[0] has the same)",
            "1:40: clients[2].name: got \"a b\", want 1 to 128 letters, digits and any of - _ . ~",
        ],
    );
    refuses(
        "routes: [{name: a, chain: [{plugin: jwt, name: x}, {plugin: jwt, name: x}]}]\n",
        &["1:72: routes[0].chain[1].name: got \"x\", want a name of its own in the chain"],
    );
}

#[test]
fn a_key_of_two_clients_is_refused() {
    let key = "0".repeat(64);
    refuses(
        &format!("clients:\n  - {{name: a, keys: [{{sha256: '{key}'}}]}}\n  - {{name: b, keys: [{{sha256: '{key}'}}]}}\n"),
        &[
            "2:31: clients[0].keys[0].sha256: got a key that stands twice, want a key of its own (hint: b has it too)",
            "3:31: clients[1].keys[0].sha256: got a key that stands twice, want a key of its own (hint: a has it too)",
        ],
    );
}

#[test]
fn a_key_has_one_digest_that_can_be_used_and_no_more_than_its_client_may() {
    let digest = "0".repeat(64);
    refuses(
        &format!(
            "clients:\n  - name: a\n    scopes: [orders.read, 'a b']\n    plan: 'g o'\n    keys:\n      - {{}}\n      \
             - {{sha256: '{digest}', hmac: '{digest}'}}\n      - {{hmac: '1{}', scopes: [order.read]}}\n",
            &digest[1..]
        ),
        &[
            "3:27: clients[0].scopes[1]: got \"a b\", want a scope such as orders.read, without blanks, quotes and backslashes",
            "4:11: clients[0].plan: got \"g o\", want 1 to 128 letters, digits and any of - _ . ~",
            "6:9: clients[0].keys[0]: got none, want exactly one of sha256, hmac",
            "7:9: clients[0].keys[1]: got sha256 and hmac, want exactly one of sha256, hmac",
            "7:86: clients[0].keys[1].hmac: got a digest made with a pepper, want sha256, or identity.pepper",
            "8:10: clients[0].keys[2].hmac: got a digest made with a pepper, want sha256, or identity.pepper",
            "8:93: clients[0].keys[2].scopes[0]: got \"order.read\", want a scope that the client has (hint: did you mean orders.read?)",
        ],
    );
}

#[test]
fn the_pepper_is_in_one_place_and_makes_hmac_digests_good() {
    let digest = "0".repeat(64);
    accepts(&format!("identity: {{pepper: {{env: PEPPER}}}}\nclients: [{{name: a, keys: [{{hmac: '{digest}'}}]}}]\n"));
    refuses(
        "identity: {pepper: {env: PEPPER, file: pepper}}\n",
        &["1:20: identity.pepper: got file and env, want exactly one of file, env"],
    );
}

#[test]
fn exactly_one_of_several_is_asked_for() {
    refuses(
        "routes: [{name: a, chain: [{plugin: jwt}], match: [{path: {}}, {path: {exact: /a, prefix: /b}}]}]\n",
        &[
            "1:59: routes[0].match[0].path: got none, want exactly one of exact, prefix, regex",
            "1:71: routes[0].match[1].path: got exact and prefix, want exactly one of exact, prefix, regex",
        ],
    );
    refuses(
        "routes: [{name: a, chain: [{plugin: jwt}], match: [{headers: [{name: x}]}]}]\n",
        &["1:63: routes[0].match[0].headers[0]: got none, want exactly one of exact, regex, present"],
    );
    refuses("plugins: [{name: a, source: {}}]\n", &["1:29: plugins[0].source: got none, want exactly one of file, oci, uploaded"]);
    refuses(
        "upstreams: [{name: a, discovery: {}}]\n",
        &["1:34: upstreams[0].discovery: got none, want exactly one of dns, etcd, register"],
    );
    refuses(
        "upstreams: [{name: a, discovery: {dns: {name: a}, register: {}}}]\n",
        &["1:34: upstreams[0].discovery: got dns and register, want exactly one of dns, etcd, register"],
    );
}

#[test]
fn routes_lead_somewhere_and_stay_within_the_limits() {
    let want = "want an upstream, a component, a redirect, or a chain that answers";
    refuses("routes: [{name: a}]\n", &[&format!("1:10: routes[0].upstream: got nothing, {want}")]);
    refuses(
        "upstreams: [{name: a, endpoints: [{url: 'http://a:1'}]}]\nroutes: [{name: a, upstream: a, upstreams: [{name: a, weight: 0}]}]\n",
        &[
            "2:33: routes[0].upstreams: got upstreams beside upstream, want one of the two",
            "2:44: routes[0].upstreams: got only weights of 0, want a weight above 0",
        ],
    );
    let hosts = vec!["a.example"; 17].join(", ");
    refuses(
        &format!("routes: [{{name: a, chain: [{{plugin: jwt}}], hosts: [{hosts}]}}]\n"),
        &["1:51: routes[0].hosts: got 17 hosts, want 16 or fewer"],
    );
    let steps = vec!["{plugin: jwt}"; 17].join(", ");
    refuses(&format!("routes: [{{name: a, chain: [{steps}]}}]\n"), &["1:27: routes[0].chain: got 17 steps, want 16 or fewer"]);
}

#[test]
fn redirects_and_rewrites_say_what_they_change_and_can() {
    let text = "\
upstreams: [{name: u, endpoints: [{url: 'http://u:1'}]}]
routes:
  - {name: a, redirect: {status: 200}}
  - {name: b, redirect: {port: 0, host: 'b:1'}}
  - {name: c, redirect: {prefix: /x, path: /a//b}, match: [{path: {exact: /c}}]}
  - {name: d, redirect: {host: d.example}, rewrite: {host: 'd e'}, upstream: u}
  - {name: e, rewrite: {prefix: x}, match: [{path: {prefix: /a}}, {path: {prefix: /b}}], upstream: u}
  - {name: f, rewrite: {}, upstreams: [{name: u, weight: 1}]}
  - {name: g, rewrite: {path: '/g?q'}, chain: [{plugin: jwt}]}
";
    refuses(
        text,
        &[
            "3:25: routes[0].redirect: got nothing that changes, want at least one of scheme, host, port, path, prefix: without, clients come back for ever",
            "3:34: routes[0].redirect.status: got 200, want one of 301, 302, 303, 307, 308",
            "4:32: routes[1].redirect.port: got 0, want 1 to 65535",
            "4:41: routes[1].redirect.host: got \"b:1\", want a host such as api.example.com, without a port",
            "5:26: routes[2].redirect.prefix: got prefix beside path, want one of the two",
            "5:26: routes[2].redirect.prefix: got a match without a path prefix, want exactly one match, with a path prefix: that is what is replaced",
            "5:44: routes[2].redirect.path: got \"/a//b\", want a path without //",
            "6:44: routes[3].rewrite: got rewrite beside redirect, want one of the two",
            "6:60: routes[3].rewrite.host: got \"d e\", want a host such as api.example.com or api.example.com:8080",
            "6:68: routes[3].upstream: got upstream beside redirect, want one of the two",
            "7:25: routes[4].rewrite.prefix: got 2 matches, want exactly one match, with a path prefix: that is what is replaced",
            "7:33: routes[4].rewrite.prefix: got \"x\", want a path that begins with /",
            "8:24: routes[5].rewrite: got nothing, want at least one of host, path, prefix",
            "9:15: routes[6].rewrite: got rewrite without an upstream, want an upstream to ask",
            "9:31: routes[6].rewrite.path: got \"/g?q\", want a path without a query; use query for that",
        ],
    );
    refuses("routes: [{name: a, redirect: {scheme: ftp}}]\n", &["1:39: routes[0].redirect.scheme: got \"ftp\", want http or https"]);
    let text = "\
upstreams: [{name: u, endpoints: [{url: 'http://u:1'}]}]
routes:
  - {name: a, upstream: u, mirror: [{upstream: v}, {upstream: u, percent: 5%}, {upstream: u}]}
  - {name: b, chain: [{plugin: jwt}], mirror: [{upstream: u}]}
  - {name: c, redirect: {scheme: https}, mirror: [{upstream: u}]}
";
    refuses(
        text,
        &[
            "3:36: routes[0].mirror: got 3 mirrors, want 2 or fewer",
            "3:48: routes[0].mirror[0].upstream: got \"v\", want the name of an upstream (hint: did you mean u?)",
            "3:91: routes[0].mirror[2].upstream: got \"u\" again, want each mirror once",
            "4:39: routes[1].mirror: got mirror without an upstream, want an upstream to ask",
            "5:42: routes[2].mirror: got mirror beside redirect, want one of the two",
        ],
    );
    accepts(
        "\
upstreams: [{name: u, endpoints: [{url: 'http://u:1'}]}]
routes:
  - {name: a, redirect: {scheme: https}}
  - {name: b, match: [{path: {prefix: /b}}], redirect: {prefix: /, host: '[::1]', status: 308}}
  - {name: c, match: [{path: {prefix: /c}}], rewrite: {prefix: /d, host: '10.0.0.1:81'}, upstream: u}
",
    );
}

#[test]
fn conditions_of_routes_are_well_formed() {
    let text = "\
routes:
  - name: a
    chain: [{plugin: jwt}]
    hosts: [API.example.com]
    match:
      - path: {prefix: /a//b}
        methods: [get]
        headers: [{name: 'x tier', exact: gold}]
        query: [{name: q, regex: '('}]
";
    refuses(
        text,
        &[
            "4:13: routes[0].hosts[0]: got \"API.example.com\", want lower case: \"api.example.com\"",
            "6:24: routes[0].match[0].path.prefix: got \"/a//b\", want a path without //",
            "7:19: routes[0].match[0].methods[0]: got \"get\", want upper case: GET",
            "8:26: routes[0].match[0].headers[0].name: got \"x tier\", want a header name such as x-tier",
            "9:34: routes[0].match[0].query[0].regex: got \"(\", want a regular expression (unclosed group)",
        ],
    );
}

#[test]
fn listeners_and_admin_keep_their_rules() {
    let text = "\
listeners:
  - {name: a, address: '127.0.0.1:1', via: 'a b', tls: {certificates: []}, limits: {header_bytes: 1, headers: 0}, timeouts: {idle: 0s}}
  - {name: b, address: '127.0.0.1:1'}
admin: {address: '0.0.0.0:9080'}
";
    refuses(
        text,
        &[
            "2:44: listeners[0].via: got \"a b\", want a word such as gatehouse",
            "2:71: listeners[0].tls.certificates: got an empty list, want at least one certificate",
            "2:99: listeners[0].limits.header_bytes: got 1B, want 1KiB to 1MiB",
            "2:111: listeners[0].limits.headers: got 0, want 1 to 1000",
            "2:132: listeners[0].timeouts.idle: got 0s, want more than 0s",
            "3:24: listeners[1].address: got 127.0.0.1:1, want an address of its own (hint: a listens there too)",
            "4:18: admin.address: got 0.0.0.0:9080, want a loopback address such as 127.0.0.1:9080, or admin.tls \
         (hint: the admin API is not served to the network without TLS)",
        ],
    );
}

#[test]
fn upstreams_keep_their_rules() {
    let text = "\
upstreams:
  - {name: a}
  - {name: b, endpoints: [{url: '127.0.0.1:1', weight: 0}]}
  - {name: c, endpoints: [{url: 'http://c:1'}, {url: 'http://c:1/', weight: 1000001}]}
  - {name: d, endpoints: [{url: 'http://d:1'}], balance: {algorithm: maglev}, retry: {attempts: 0}}
  - {name: e, endpoints: [{url: 'http://e:1'}], timeouts: {connect: 0s, request: 0s}}
  - {name: f, endpoints: [{url: 'http://f:1'}], balance: {algorithm: maglev, hash_on: 'header:a b'}}
  - {name: g, endpoints: [{url: 'http://g:1'}], balance: {hash_on: client}}
  - {name: h, endpoints: [{url: 'http://h:1'}], health: {active: {path: /, expect: [], port: 0, healthy: 0, headers: {a b: c}}}}
";
    refuses(
        text,
        &[
            "2:5: upstreams[0].endpoints: got nothing, want endpoints or discovery",
            "3:26: upstreams[1].endpoints: got only weights of 0, want a weight above 0",
            "3:33: upstreams[1].endpoints[0].url: got \"127.0.0.1:1\", want http://HOST:PORT or https://HOST:PORT",
            "4:54: upstreams[2].endpoints[1].url: got \"http://c:1/\" again, want each endpoint once (hint: give it a larger weight instead)",
            "4:77: upstreams[2].endpoints[1].weight: got 1000001, want 1000000 or less",
            "5:58: upstreams[3].balance.hash_on: got nothing, want what to hash on, such as client",
            "5:97: upstreams[3].retry.attempts: got 0, want 1 to 10",
            "6:69: upstreams[4].timeouts.connect: got 0s, want more than 0s",
            "7:87: upstreams[5].balance.hash_on: got \"a b\", want a header name such as x-tier",
            "8:68: upstreams[6].balance.hash_on: got client, want ring_hash or maglev as the algorithm",
            "9:84: upstreams[7].health.active.expect: got no status, want a status such as 2xx",
            "9:94: upstreams[7].health.active.port: got 0, want 1 to 65535",
            "9:106: upstreams[7].health.active.healthy: got 0, want 1 or more",
            "9:124: upstreams[7].health.active.headers[\"a b\"]: got \"a b\", want a header name such as x-tier",
        ],
    );
}

#[test]
fn a_health_check_may_ask_with_a_query_and_expect_a_number() {
    let upstream = |active: &str| format!("upstreams: [{{name: a, endpoints: [{{url: 'http://a:1'}}], health: {{active: {active}}}}}]\n");
    accepts(&upstream("{path: '/ready?deep=1&x=%2f', expect: [204, 4xx, '302']}"));
    refuses(&upstream("{path: '/ready?a#b', expect: [99]}"), &["1:104: upstreams[0].health.active.expect[0]: got 99, want 100 or more"]);
    refuses(
        &upstream("{path: '/ready?a#b'}"),
        &["1:81: upstreams[0].health.active.path: got \"/ready?a#b\", want a query without #, blanks and control characters"],
    );
}

#[test]
fn a_number_without_its_unit_and_a_secret_in_the_clear_are_told_what_to_write() {
    refuses(
        "upstreams: [{name: a, endpoints: [{url: 'http://a:1'}], balance: {overload: 25}, auth: {client_credentials: {token_url: 'https://i/t', client_id: g, client_secret: hunter2}}}]\n",
        &[
            "1:77: upstreams[0].balance.overload: got 25, want a percentage such as 20% (hint: write 25%)",
            "1:165: upstreams[0].auth.client_credentials.client_secret: got a value, want {env: NAME} or {file: PATH}",
        ],
    );
}

#[test]
fn issuers_keep_their_rules() {
    let text = "\
issuers:
  - {name: a, issuer: a}
  - {name: b, issuer: b, jwks: {url: issuer.example}, leeway: 5m}
  - {name: c, issuer: c, audiences: [x], algorithms: [HS256], jwks: {file: a.json}}
  - {name: d, issuer: d, audiences: [x], algorithms: [HS256], secret: {env: D, file: d}}
  - {name: e, issuer: e, audiences: [x], algorithms: [RS256], jwks: {url: 'https://e', file: e, ttl: 2d, refetch_floor: 1ms}}
  - {name: f, issuer: f, audiences: [x], algorithms: [HS256]}
";
    refuses(
        text,
        &[
            "2:5: issuers[0]: got no keys, want jwks, secret or introspection, or else algorithms, and the issuer is asked where its keys are",
            "3:5: issuers[1].algorithms: got none, want at least one algorithm such as RS256",
            "3:38: issuers[1].jwks.url: got \"issuer.example\", want an http:// or https:// URL",
            "3:63: issuers[1].leeway: got 5m, want 1m or less",
            "4:55: issuers[2].algorithms[0]: got HS256, want an algorithm that the issuer has keys for; this one needs secret",
            "5:71: issuers[3].secret: got file and env, want exactly one of file, env",
            "6:69: issuers[4].jwks: got url and file, want one of them, or neither to ask the issuer",
            "6:102: issuers[4].jwks.ttl: got 2d, want 1s to 1d",
            "6:121: issuers[4].jwks.refetch_floor: got 1ms, want 100ms to 1h",
            "7:55: issuers[5].algorithms[0]: got HS256, want an algorithm that the issuer has keys for; this one needs secret",
        ],
    );
}

#[test]
fn what_the_gateway_is_to_issuers_keeps_its_rules() {
    let text = "\
upstreams:
  - {name: a, endpoints: [{url: 'http://a:1'}], auth: {client_credentials: {token_url: issuer, client_id: '', client_secret: {}, scopes: [a b]}}}
issuers:
  - {name: b, issuer: b, introspection: {url: issuer, client_id: '', client_secret: {env: A, file: b}, timeout: 0s}}
routes: [{name: r, upstream: a}]
";
    refuses(
        text,
        &[
            "2:88: upstreams[0].auth.client_credentials.token_url: got \"issuer\", want an http:// or https:// URL",
            "2:107: upstreams[0].auth.client_credentials.client_id: got \"\", want a text that is not empty",
            "2:126: upstreams[0].auth.client_credentials.client_secret: got none, want exactly one of file, env",
            "2:139: upstreams[0].auth.client_credentials.scopes[0]: got \"a b\", want a scope such as orders.read, without blanks, quotes and backslashes",
            "4:47: issuers[0].introspection.url: got \"issuer\", want an http:// or https:// URL",
            "4:66: issuers[0].introspection.client_id: got \"\", want a text that is not empty",
            "4:85: issuers[0].introspection.client_secret: got file and env, want exactly one of file, env",
            "4:113: issuers[0].introspection.timeout: got 0s, want more than 0s",
        ],
    );
}

#[test]
fn plugins_keep_their_rules() {
    let text = "\
plugins:
  - {name: jvt}
  - {name: a, source: {oci: 'registry/a:latest'}, limits: {memory: 1KB, cpu: 2s, instances: 0}}
  - {name: jwt, isolation: request}
";
    refuses(
        text,
        &[
            "2:5: plugins[0].source: got nothing, want a source, or the name of a built-in plugin (hint: did you mean jwt?)",
            "3:29: plugins[1].source.oci: got \"registry/a:latest\", want REGISTRY/NAME@sha256:DIGEST or REGISTRY/NAME:TAG (it begins with no registry such as registry.example or localhost:5000)",
            "3:59: plugins[1].limits.wall: got 1s, want 2s (cpu) or more",
            "3:68: plugins[1].limits.memory: got 1KB, want 64KiB to 4GiB",
            "3:93: plugins[1].limits.instances: got 0, want 1 or more",
        ],
    );
}

#[test]
fn an_artifact_is_named_whole_or_refused() {
    const WANT: &str = "REGISTRY/NAME@sha256:DIGEST or REGISTRY/NAME:TAG";
    for (reference, why) in [
        ("acme", "(it begins with no registry such as registry.example or localhost:5000)"),
        ("https://registry.example/acme:1", "(invalid reference format)"),
        ("registry.example/acme", "(registry.example/acme has neither a tag nor a digest)"),
        ("localhost:5000/acme", "(localhost:5000/acme has neither a tag nor a digest)"),
        ("registry.example/Acme:1", "(invalid reference format)"),
        ("registry.example/acme@sha256:abc", "(invalid reference format)"),
    ] {
        let text = format!("plugins: [{{name: a, source: {{oci: '{reference}'}}}}]\n");
        refuses(&text, &[&format!("1:35: plugins[0].source.oci: got {reference:?}, want {WANT} {why}")]);
    }
    refuses(
        "plugins: [{name: a, source: {oci: {reference: 'localhost:5000/acme:1', refresh: 10ms, auth: {username: '', password: {}}, tag: a}}}]\n",
        &["1:123: plugins[0].source.oci.tag: got the unknown key \"tag\", want one of auth, ca, insecure, reference, refresh"],
    );
    refuses(
        "plugins: [{name: a, source: {oci: {reference: 'localhost:5000/acme:1', refresh: 10ms, auth: {username: '', password: {}}}}}]\n",
        &[
            "1:81: plugins[0].source.oci.refresh: got 10ms, want 1s or more",
            "1:104: plugins[0].source.oci.auth.username: got \"\", want a text that is not empty",
            "1:118: plugins[0].source.oci.auth.password: got none, want exactly one of file, env",
        ],
    );
}

#[test]
fn a_broken_item_hides_no_other_and_keeps_its_name() {
    let text = "\
upstreams:
  - {name: orders, endpoint: []}
  - {name: users, endpoints: [{url: users}]}
routes:
  - {name: a, upstream: orders}
  - {name: b, upstream: nobody}
  - {upstream: users}
";
    refuses(
        text,
        &[
            "2:20: upstreams[0].endpoint: got the unknown key \"endpoint\", want one of auth, balance, circuit_breaker, discovery, \
         endpoints, health, name, protocol, retry, timeouts, tls (hint: did you mean endpoints?)",
            "3:37: upstreams[1].endpoints[0].url: got \"users\", want http://HOST:PORT or https://HOST:PORT",
            "6:25: routes[1].upstream: got \"nobody\", want the name of an upstream",
            "7:5: routes[2].name: got nothing, want \"name\", which is required",
        ],
    );
}

fn review_files(texts: &[&str]) -> Reviewed {
    let files = texts.iter().enumerate().map(|(index, text)| Source::new(format!("{index}.yaml"), *text));
    super::review(Sources::new(files.collect(), "/etc/gatehouse"), &Arc::default(), &stock())
}

#[test]
fn what_is_wrong_with_the_shape_hides_nothing_of_the_meaning() {
    let text = "\
upstreams:
  - {name: orders, endpoints: [{url: orders}], endpiont: x}
  - {name: users, endpoints: [{url: 'http://u:1', weight: much}], retry: {attempts: 0}}
routes:
  - name: a
    match: [{path: {prefix: /a//b}, methods: get}]
    chain:
      - {plugin: jwt, config: {issuer: nobody}, nam: x}
      - 7
      - {plugin: jwk}
    upstream: odrers
    upstrem: x
drain: {deadline: soon, ready_delay: 1s}
";
    refuses(
        text,
        &[
            "2:38: upstreams[0].endpoints[0].url: got \"orders\", want http://HOST:PORT or https://HOST:PORT",
            "2:48: upstreams[0].endpiont: got the unknown key \"endpiont\", want one of auth, balance, circuit_breaker, discovery, \
         endpoints, health, name, protocol, retry, timeouts, tls (hint: did you mean endpoints?)",
            "3:59: upstreams[1].endpoints[0].weight: got \"much\", want a whole number",
            "3:85: upstreams[1].retry.attempts: got 0, want 1 to 10",
            "6:29: routes[0].match[0].path.prefix: got \"/a//b\", want a path without //",
            "6:46: routes[0].match[0].methods: got \"get\", want a list (hint: write [\"get\"])",
            "8:40: routes[0].chain[0].config.issuer: got \"nobody\", want the name of an issuer",
            "8:49: routes[0].chain[0].nam: got the unknown key \"nam\", want one of config, name, on_error, plugin (hint: did you mean name?)",
            "9:9: routes[0].chain[1]: got 7, want a map",
            "10:18: routes[0].chain[2].plugin: got \"jwk\", want the name of a plugin (hint: did you mean jwt?)",
            "11:15: routes[0].upstream: got \"odrers\", want the name of an upstream (hint: did you mean orders?)",
            "12:5: routes[0].upstrem: got the unknown key \"upstrem\", want one of chain, component, hosts, match, max_body, mirror, name, redirect, rewrite, timeouts, upgrades, \
         upstream, upstreams (hint: did you mean upstream?)",
            "13:19: drain.deadline: got \"soon\" (not a number), want a duration such as 10ms, 1s or 5m",
        ],
    );
}

#[test]
fn what_follows_from_a_problem_is_not_another() {
    refuses("routes: [{name: a, upstream: 5}]\n", &["1:30: routes[0].upstream: got 5, want a text (hint: write \"5\" in quotes)"]);
    refuses(
        "routes: [{name: a, chain: [{plugin: jwt}], match: [{path: {exact: 5}}]}]\n",
        &["1:67: routes[0].match[0].path.exact: got 5, want a text (hint: write \"5\" in quotes)"],
    );
    refuses(
        "upstreams: [{nme: b}]\nroutes: [{name: a, upstream: b}]\n",
        &[
            "1:13: upstreams[0].name: got nothing, want \"name\", which is required",
            "1:14: upstreams[0].nme: got the unknown key \"nme\", want one of auth, balance, circuit_breaker, discovery, endpoints, health, \
         name, protocol, retry, timeouts, tls (hint: did you mean name?)",
        ],
    );
    refuses("upstreams: 5\nroutes: [{name: a, upstream: b}]\n", &["1:12: upstreams: got 5, want a list (hint: write [5])"]);
}

#[test]
fn the_healthy_part_is_handed_on_and_knows_its_lines() {
    let texts = [
        "plugins: [{name: mine, source: {file: a.wasm}, limits: {memory: 1KB}}, {name: jwt, isolation: request}]\n",
        "upstreams: [{name: a, endpoints: [{url: 'http://a:1'}]}, {name: a}]\nroutes:\n  - {nam: x}\n  - name: b\n    chain:\n      - 7\n      - {plugin: mine}\n      - {plugin: jwt}\n    upstream: nobody\n",
    ];
    let reviewed = review_files(&texts);
    assert_eq!(reviewed.problems.len(), 7, "{}", reviewed.problems);
    let loaded = reviewed.loaded.expect("a healthy part");
    let document = &loaded.document;
    assert_eq!(document.plugins.iter().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>(), ["jwt"], "without the faulty one");
    assert_eq!(document.upstreams.len(), 1, "the first of two of a name");
    let plugins: Vec<&str> = document.routes[0].chain.iter().map(|step| step.plugin.as_str()).collect();
    assert_eq!(plugins, ["jwt"], "steps that cannot be judged are left out");

    let path = KeyPath::default().key("routes").index(0).key("chain").index(0).key("plugin");
    let found = loaded.sources.locate(vec![Finding::new(path, Code::Plugin, "\"jwt\"", "another")]);
    let place = (found[0].file.as_str(), found[0].line, found[0].column, found[0].path.as_str());
    assert_eq!(place, ("1.yaml", 8, 18, "routes[1].chain[2].plugin"), "a later finding is found behind what was left out");
}

#[test]
fn files_of_a_folder_make_one_document() {
    let files = [
        "upstreams: [{name: a, endpoints: [{url: 'http://a:1'}]}]\nroutes: [{name: a, upstream: a}]\n",
        "drain: {deadline: 5s}\nroutes:\n  - {name: b, upstream: a}\n  - {name: c, upstream: a}\n",
    ];
    let loaded = load_files(&files).expect("a good document");
    let names: Vec<_> = loaded.document.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"], "in the order of the files");
    assert_eq!(loaded.document.drain.deadline.to_string(), "5s", "what stands in one file holds for all");

    let path = KeyPath::default().key("routes").index(2).key("upstream");
    let found = loaded.sources.locate(vec![Finding::new(path, Code::Plugin, "\"a\"", "another")]);
    let place = (found[0].file.as_str(), found[0].line, found[0].column, found[0].path.as_str());
    assert_eq!(place, ("1.yaml", 4, 25, "routes[1].upstream"), "a later finding is found in its file");
}

#[test]
fn files_of_a_folder_are_checked_against_each_other() {
    let files = ["drain: {}\nroutes: [{name: a, upstream: b}]\n", "drain: {}\nroutes: [{name: a, chain: [{plugin: jwt}]}]\n"];
    let problems = load_files(&files).expect_err("a bad document");
    let printed: Vec<String> = problems.iter().map(|p| format!("{}:{}:{} {:?}", p.file, p.line, p.column, p.code)).collect();
    assert_eq!(printed, ["0.yaml:2:30 Reference", "1.yaml:1:1 Conflict", "1.yaml:2:17 DuplicateName"], "{problems}");
}

#[test]
fn a_file_that_breaks_off_does_not_make_its_names_unknown() {
    let files = ["upstreams: [{name: a", "routes: [{name: a, upstream: a}, {nam: b}]\n"];
    let problems = load_files(&files).expect_err("a bad document");
    let codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [Code::Syntax, Code::Missing, Code::UnknownKey], "{problems}");
}

#[test]
fn duplicate_keys_are_reported_with_everything_else() {
    refuses(
        "routes: []\nroutes: []\ndrain: {deadline: 0s}\n",
        &["2:1: got a second \"routes\", want each key once in a map", "3:19: drain.deadline: got 0s, want more than 0s"],
    );
}

#[test]
fn a_hundred_thousand_mistakes_are_reported_in_good_time() {
    let mut text = String::from("routes:\n");
    for index in 0..100_000 {
        text.push_str(&format!("  - {{name: r{index}, upstream: nowhere}}\n"));
    }
    let problems = load_files(&[&text]).expect_err("a bad document");
    assert_eq!(problems.len(), 100_000, "each is kept");
    assert!(problems.to_string().ends_with("and 99900 more"), "and most are only counted");
}
