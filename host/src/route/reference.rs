//! Tests of the whole router: each rule of precedence by hand, then random rules against a slow and obvious matcher.

use std::cmp::Reverse;

use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;

const RULES: usize = 24;

/// Builds a rule from `[METHOD,…] [HOST]PATH [h:NAME=VALUE …] [q:NAME=VALUE …]`. A path is `=/exact`, `~regex` or
/// `/prefix`; a value with `~` in place of `=` is an expression, and a header alone must be present.
fn rule(text: &str) -> Rule {
    let (methods, rest): (Vec<&str>, Vec<&str>) =
        text.split(' ').partition(|word| word.chars().all(|c| c.is_ascii_uppercase() || c == ','));
    let (target, conditions) = rest.split_first().expect("a rule has a target");
    let (host, path) = target.split_at(target.find(['/', '=', '~']).expect("a rule has a path"));
    let named = |kind: &str| conditions.iter().filter_map(move |word| word.strip_prefix(kind)).collect::<Vec<_>>();
    Rule {
        host: if host.is_empty() { HostPattern::Any } else { HostPattern::parse(host).unwrap() },
        path: path_match(path),
        methods: methods.iter().flat_map(|names| names.split(',')).map(|name| name.parse().unwrap()).collect(),
        headers: named("h:").into_iter().map(header_match).collect(),
        query: named("q:").into_iter().map(query_match).collect(),
    }
}

fn path_match(text: &str) -> PathMatch {
    match text.split_at(1) {
        ("=", path) => PathMatch::exact(path).unwrap(),
        ("~", pattern) => PathMatch::regex(pattern).unwrap(),
        _ => PathMatch::prefix(text).unwrap(),
    }
}

fn header_match(text: &str) -> HeaderMatch {
    match (text.split_once('='), text.split_once('~')) {
        (Some((name, value)), _) => HeaderMatch::exact(name, value).unwrap(),
        (_, Some((name, pattern))) => HeaderMatch::regex(name, pattern).unwrap(),
        _ => HeaderMatch::present(text).unwrap(),
    }
}

fn query_match(text: &str) -> QueryMatch {
    match (text.split_once('='), text.split_once('~')) {
        (Some((name, value)), _) => QueryMatch::exact(name, value).unwrap(),
        (_, Some((name, pattern))) => QueryMatch::regex(name, pattern).unwrap(),
        _ => panic!("a query condition needs a value: {text}"),
    }
}

struct Request {
    method: Method,
    host: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

impl Request {
    /// Reads `METHOD HOST/PATH[?QUERY] [NAME=VALUE …]`.
    fn parse(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let (host, target) = words[1].split_at(words[1].find('/').expect("a request has a path"));
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut headers = HeaderMap::new();
        for (name, value) in words[2..].iter().filter_map(|word| word.split_once('=')) {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Self { method: words[0].parse().unwrap(), host: host.into(), path: path.into(), query: query.map(String::from), headers }
    }

    fn head(&self) -> Head<'_> {
        Head { host: &self.host, path: &self.path, query: self.query.as_deref(), method: &self.method, headers: &self.headers }
    }
}

/// The rule that wins whichever way round the rules are given, as for every precedence but the place in the config.
#[track_caller]
fn check(rules: &[&'static str], request: &str, expected: &str) {
    for reversed in [false, true] {
        let mut rules = rules.to_vec();
        if reversed {
            rules.reverse();
        }
        check_in_order(&rules, request, expected);
    }
}

#[track_caller]
fn check_in_order(rules: &[&'static str], request: &str, expected: &str) {
    let router = Router::build(rules.iter().map(|text| (rule(text), *text)));
    let parsed = Request::parse(request);
    let found = router.find(&parsed.head()).copied().unwrap_or("none");
    assert_eq!(found, expected, "{request} among {rules:?}");
    let won = router.explain(&parsed.head()).into_iter().find(|candidate| matches!(candidate.outcome, Outcome::Won));
    assert_eq!(won.map_or("none", |won| *won.value), expected, "the explanation of {request} among {rules:?}");
}

#[test]
fn a_router_can_be_shared_by_workers() {
    fn shared<S: Send + Sync>() {}
    shared::<Router<std::sync::Arc<str>>>();
}

#[test]
fn without_a_matching_rule_nothing_is_found() {
    check(&[], "GET a.com/", "none");
    check(&["a.com/"], "GET b.com/", "none");
    check(&["/a"], "GET a.com/b", "none");
    check(&["POST /"], "GET a.com/", "none");
    check(&["/ h:x-a=1"], "GET a.com/", "none");
    check(&["/ q:a=1"], "GET a.com/", "none");
}

#[test]
fn the_host_decides_first() {
    check(&["a.com/", "/x/y", "=/x/y"], "GET a.com/x/y", "a.com/");
    check(&["a.b.com/", "*.b.com/x", "*.com/x/y"], "GET a.b.com/x/y", "a.b.com/");
    check(&["*.b.com/", "*.com=/x", "=/x"], "GET a.b.com/x", "*.b.com/");
    check(&["*.a.b.com/", "*.b.com=/x"], "GET x.y.a.b.com/x", "*.a.b.com/");
    check(&["*.com/", "/x"], "GET A.B.Com.:8080/x", "*.com/");
    check(&["*.b.com/", "/"], "GET b.com/x", "/");
    check(&["a.com/", "GET / h:x-a=1 q:a=1"], "GET a.com/?a=1 x-a=1", "a.com/");
}

#[test]
fn a_less_specific_host_gets_its_turn_when_the_other_has_no_match() {
    check(&["a.b.com/x", "*.b.com/y", "*.com/z", "/w"], "GET a.b.com/x", "a.b.com/x");
    check(&["a.b.com/x", "*.b.com/y", "*.com/z", "/w"], "GET a.b.com/y", "*.b.com/y");
    check(&["a.b.com/x", "*.b.com/y", "*.com/z", "/w"], "GET a.b.com/z", "*.com/z");
    check(&["a.b.com/x", "*.b.com/y", "*.com/z", "/w"], "GET a.b.com/w", "/w");
    check(&["POST a.com/", "/"], "GET a.com/", "/");
    check(&["a.com/ h:x-a=1", "/"], "GET a.com/", "/");
}

#[test]
fn exact_beats_regex_beats_prefix() {
    check(&["=/a/b", "~/a/.*", "/a/b"], "GET x.com/a/b", "=/a/b");
    check(&["~/a/.*", "/a/b"], "GET x.com/a/b", "~/a/.*");
    check(&["~.*", "/a/b/c"], "GET x.com/a/b/c", "~.*");
    check(&["=/a/b", "GET ~/a/.* h:x-a q:a=1"], "GET x.com/a/b?a=1 x-a=1", "=/a/b");
    check(&["~/a/.*", "GET /a/b h:x-a q:a=1"], "GET x.com/a/b?a=1 x-a=1", "~/a/.*");
    check(&["=/a/b", "~/a/b/", "/a"], "GET x.com/a/b/", "~/a/b/");
    check(&["=/a/b", "~/a/b", "/a"], "GET x.com/a/b/", "/a");
    check(&["=/", "/"], "GET x.com/", "=/");
    check(&["=/", "/"], "GET x.com/a", "/");
}

#[test]
fn the_longest_prefix_wins_by_whole_elements() {
    check(&["/", "/a", "/a/b", "/a/b/c"], "GET x.com/a/b/d", "/a/b");
    check(&["/", "/a", "/a/b"], "GET x.com/a/bc", "/a");
    check(&["/", "/a", "/a/b"], "GET x.com/ab", "/");
    check(&["/a", "/a/b/c/d"], "GET x.com/a/b/c", "/a");
    check(&["/a/b", "GET /a h:x-a q:a=1"], "GET x.com/a/b?a=1 x-a=1", "/a/b");
}

#[test]
fn a_shorter_match_gets_its_turn_when_the_predicates_of_the_longer_fail() {
    check(&["POST /a/b", "/a"], "GET x.com/a/b", "/a");
    check(&["POST =/a/b", "/a/b"], "GET x.com/a/b", "/a/b");
    check(&["POST =/a/b", "~/a/.", "/a"], "GET x.com/a/b", "~/a/.");
    check(&["POST ~/a/.", "/a"], "GET x.com/a/b", "/a");
    check(&["/a/b h:x-a=1", "/a"], "GET x.com/a/b x-a=2", "/a");
    check(&["/a/b q:a=1", "/"], "GET x.com/a/b?a=2&a=1", "/");
}

#[test]
fn a_method_beats_headers_and_headers_beat_the_query() {
    check(&["GET /a", "/a h:x-a h:x-b q:a=1"], "GET x.com/a?a=1 x-a=1 x-b=1", "GET /a");
    check(&["GET,POST /a", "/a"], "POST x.com/a", "GET,POST /a");
    check(&["/a h:x-a", "/a q:a=1 q:b=1"], "GET x.com/a?a=1&b=1 x-a=1", "/a h:x-a");
    check(&["/a h:x-a h:x-b", "/a h:x-a q:a=1"], "GET x.com/a?a=1 x-a=1 x-b=1", "/a h:x-a h:x-b");
    check(&["/a q:a=1 q:b=1", "/a q:a=1"], "GET x.com/a?b=1&a=1", "/a q:a=1 q:b=1");
    check(&["GET /a h:x-a", "GET /a"], "GET x.com/a x-a=1", "GET /a h:x-a");
}

#[test]
fn predicates_decide_among_expressions_wherever_they_are_filed() {
    check(&["GET ~/.*", "~/a/b/.*"], "GET x.com/a/b/c", "GET ~/.*");
    check(&["~/.* h:x-a", "~/a/b/.*"], "GET x.com/a/b/c x-a=1", "~/.* h:x-a");
    check(&["~/a/b/.* h:x-a", "~/.*"], "GET x.com/a/b/c x-a=1", "~/a/b/.* h:x-a");
    check_in_order(&["~/.*", "~/a/b/.*"], "GET x.com/a/b/c", "~/.*");
    check_in_order(&["~/a/b/.*", "~/.*"], "GET x.com/a/b/c", "~/a/b/.*");
    check_in_order(&["~/a/./c", "~/a/b/.*", "~/.*"], "GET x.com/a/b/c", "~/a/./c");
}

#[test]
fn the_first_in_the_config_wins_among_equals() {
    check_in_order(&["GET /a", "GET,POST /a"], "GET x.com/a", "GET /a");
    check_in_order(&["GET,POST /a", "GET /a"], "GET x.com/a", "GET,POST /a");
    check_in_order(&["/a h:x-b", "/a h:x-a"], "GET x.com/a x-a=1 x-b=1", "/a h:x-b");
    check_in_order(&["/a q:b=1", "/a q:a=1"], "GET x.com/a?a=1&b=1", "/a q:b=1");
    check_in_order(&["/a", "/a/"], "GET x.com/a/", "/a");
    check_in_order(&["/a/", "/a"], "GET x.com/a", "/a/");
    check_in_order(&["A.com/", "a.com/"], "GET a.com/", "A.com/");
}

#[test]
fn a_second_condition_for_the_same_name_is_ignored() {
    check(&["/ h:x-a=1 h:X-A=2"], "GET x.com/ x-a=1", "/ h:x-a=1 h:X-A=2");
    check(&["/ q:a=1 q:a=2"], "GET x.com/?a=1", "/ q:a=1 q:a=2");
    // Nor does it count: one header condition against one is a draw that the query decides.
    check(&["/ h:x-a=1 h:x-a=1", "/ h:x-a=1 q:a=1"], "GET x.com/?a=1 x-a=1", "/ h:x-a=1 q:a=1");
    check(&["/ q:a=1 q:A=1", "/ q:a=1"], "GET x.com/?a=1&A=1", "/ q:a=1 q:A=1");
}

#[test]
fn an_explanation_names_what_each_rule_lacks_from_the_nearest_miss_on() {
    let rules = [
        "b.com/",
        "/b",
        "POST /a",
        "/a h:x-a=1",
        "/a q:a=1",
        "/",
        "/a q:b=1",
        "a.com/",
        "/a",
        "GET /a",
        "/a",
        "GET /a",
        "GET /a h:x-b",
        "=/a",
    ];
    let router = Router::build(rules.iter().map(|text| (rule(text), *text)));
    let request = Request::parse("GET a.com/a?b=1 x-b=1");
    let told: Vec<String> =
        router.explain(&request.head()).iter().map(|candidate| format!("{}: {}", candidate.value, candidate.outcome)).collect();
    let expected = [
        "a.com/: won",
        "=/a: another rule matches and its host is more specific",
        "GET /a h:x-b: another rule matches and its host is more specific",
        "GET /a: another rule matches and its host is more specific",
        "GET /a: another rule matches and its host is more specific",
        "/a q:b=1: another rule matches and its host is more specific",
        "/a: another rule matches and its host is more specific",
        "/a: another rule matches and its host is more specific",
        "/: another rule matches and its host is more specific",
        "/a q:a=1: the query lacks a exact 1",
        "/a h:x-a=1: the headers lack x-a exact 1",
        "POST /a: it serves other methods",
        "/b: it serves other paths",
        "b.com/: it serves other hosts",
    ];
    assert_eq!(told, expected, "the winner, what it beats in order, then ever farther misses");
}

#[test]
fn an_explanation_names_what_decided() {
    #[track_caller]
    fn check(winner: &str, loser: &str, expected: Advantage) {
        let router = Router::build([loser, winner].map(|text| (rule(text), text.to_owned())));
        let request = Request::parse("GET a.b.com/a?a=1 x-a=1");
        let candidates = router.explain(&request.head());
        assert!(matches!(candidates[0].outcome, Outcome::Won) && candidates[0].value == winner, "{winner} wins");
        let lost = &candidates[1].outcome;
        assert!(matches!(lost, Outcome::Outranked(by) if *by == expected), "{loser} loses to {winner}, not {lost}");
    }
    check("a.b.com/", "*.b.com/", Advantage::Host);
    check("*.b.com/", "*.com=/a", Advantage::Host);
    check("=/a", "~/a", Advantage::Path);
    check("~/a", "GET /a", Advantage::Path);
    check("/a", "GET /", Advantage::Path);
    check("GET /", "/ h:x-a", Advantage::Method);
    check("/ h:x-a", "/ q:a=1", Advantage::Headers);
    check("/ q:a=1", "/", Advantage::Query);
}

// === the slow and obvious matcher ===

/// A rule in plain data, so that the reference shares no code with what it checks.
#[derive(Debug)]
struct Plain {
    host: &'static str,
    path: &'static str,
    /// The compiled `path`, if it is an expression.
    regex: Option<regex::Regex>,
    methods: &'static [&'static str],
    headers: Vec<(&'static str, &'static str)>,
    query: Vec<(&'static str, &'static str)>,
}

const HOSTS: [&str; 8] = ["", "", "a.com", "b.a.com", "c.b.a.com", "*.a.com", "*.b.a.com", "*.com"];
const REQUEST_HOSTS: [&str; 8] = ["a.com", "B.a.com", "c.b.a.com:80", "x.b.a.com.", "d.c.b.a.com", "x.com", "com", "[::1]:80"];
const PATHS: [&str; 16] =
    ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "=/", "=/a", "=/a/", "=/a/b", "~/.*", "~/a/.*", "~/a/b?", "~/(a|b)/.", "~/a/b/c*", "~.*b"];
const ELEMENTS: [&str; 5] = ["a", "b", "c", "ab", ""];
const METHODS: [&[&str]; 4] = [&[], &[], &["GET"], &["GET", "POST"]];
const NAMES: [&str; 3] = ["x", "y", "z"];
const VALUES: [&str; 2] = ["1", "2"];

impl Plain {
    fn random(rng: &mut Rng) -> Self {
        let path = pick(rng, &PATHS);
        Self {
            host: pick(rng, &HOSTS),
            path,
            regex: path.strip_prefix('~').map(|pattern| regex::Regex::new(&format!("^(?:{pattern})$")).unwrap()),
            methods: pick(rng, &METHODS),
            headers: pairs(rng),
            query: pairs(rng),
        }
    }

    fn rule(&self) -> Rule {
        Rule {
            host: if self.host.is_empty() { HostPattern::Any } else { HostPattern::parse(self.host).unwrap() },
            path: path_match(self.path),
            methods: self.methods.iter().map(|name| name.parse().unwrap()).collect(),
            headers: self.headers.iter().map(|(name, value)| HeaderMatch::exact(name, value).unwrap()).collect(),
            query: self.query.iter().map(|(name, value)| QueryMatch::exact(name, value).unwrap()).collect(),
        }
    }

    /// How well the rule fits, the more the better; none if it does not.
    fn fit(&self, request: &Wanted) -> Option<[usize; 7]> {
        let (host_kind, host_length) = self.host_fit(request.host)?;
        let (path_kind, path_length) = self.path_fit(&request.path)?;
        let method = self.methods.is_empty() || self.methods.contains(&request.method);
        let holds = |conditions: &[(&str, &str)], given: &[(&str, &str)]| {
            conditions.iter().all(|(name, value)| given.iter().find(|(found, _)| found == name).is_some_and(|(_, found)| found == value))
        };
        let fits = method && holds(&self.headers, &request.headers) && holds(&self.query, &request.query);
        let named = usize::from(!self.methods.is_empty());
        fits.then_some([host_kind, host_length, path_kind, path_length, named, self.headers.len(), self.query.len()])
    }

    fn host_fit(&self, host: &str) -> Option<(usize, usize)> {
        let lower = host.to_lowercase();
        let name = lower.trim_end_matches(":80").trim_end_matches('.');
        match self.host.strip_prefix('*') {
            _ if self.host.is_empty() => Some((0, 0)),
            Some(end) => name.ends_with(end).then_some((1, end.len())),
            None => (name == self.host).then_some((2, self.host.len())),
        }
    }

    fn path_fit(&self, path: &str) -> Option<(usize, usize)> {
        if let Some(exact) = self.path.strip_prefix('=') {
            return (path == exact).then_some((2, 0));
        }
        if let Some(regex) = &self.regex {
            return regex.is_match(path).then_some((1, 0));
        }
        let elements: Vec<&str> = path.split('/').collect();
        let prefix: Vec<&str> = self.path.trim_end_matches('/').split('/').collect();
        elements.starts_with(&prefix).then_some((0, self.path.trim_end_matches('/').len()))
    }
}

#[derive(Debug)]
struct Wanted {
    host: &'static str,
    path: String,
    method: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    query: Vec<(&'static str, &'static str)>,
}

impl Wanted {
    fn random(rng: &mut Rng) -> Self {
        let elements = (0..rng.usize(1..5)).map(|_| pick(rng, &ELEMENTS));
        let path = elements.fold(String::new(), |path, element| path + "/" + element);
        Self { host: pick(rng, &REQUEST_HOSTS), path, method: pick(rng, &["GET", "POST", "PUT"]), headers: pairs(rng), query: pairs(rng) }
    }

    fn request(&self) -> Request {
        let query: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let header = |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        Request {
            method: self.method.parse().unwrap(),
            host: self.host.into(),
            path: self.path.clone(),
            query: (!query.is_empty()).then(|| query.join("&")),
            headers: self.headers.iter().map(header).collect(),
        }
    }
}

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

/// Up to two pairs with names of their own, more often none.
fn pairs(rng: &mut Rng) -> Vec<(&'static str, &'static str)> {
    let count = pick(rng, &[0, 0, 0, 1, 1, 2]);
    rng.choose_multiple(NAMES, count).into_iter().map(|name| (name, pick(rng, &VALUES))).collect()
}

#[test]
fn random_rules_lead_where_the_slow_matcher_says() {
    let mut rng = Rng::with_seed(0x6a7e_0005);
    let mut found = 0;
    for _ in 0..400 {
        let count = rng.usize(0..=RULES);
        let plain: Vec<Plain> = (0..count).map(|_| Plain::random(&mut rng)).collect();
        let router = Router::build(plain.iter().map(Plain::rule).zip(0..));
        for _ in 0..50 {
            let wanted = Wanted::random(&mut rng);
            let fits = plain.iter().enumerate().filter_map(|(place, rule)| Some((rule.fit(&wanted)?, Reverse(place))));
            let expected = fits.max().map(|(_, Reverse(place))| place);
            let request = wanted.request();
            assert_eq!(router.find(&request.head()).copied(), expected, "{wanted:?} among {plain:#?}");
            check_explanation(&router, &request, count, expected);
            found += usize::from(expected.is_some());
        }
    }
    assert!((4_000..16_000).contains(&found), "hits and misses are both well covered, {found} of 20,000 hit");
}

fn check_explanation(router: &Router<usize>, request: &Request, rules: usize, expected: Option<usize>) {
    let candidates = router.explain(&request.head());
    assert_eq!(candidates.len(), rules, "every rule is explained once");
    let won: Vec<usize> = candidates.iter().filter(|c| matches!(c.outcome, Outcome::Won)).map(|c| *c.value).collect();
    assert_eq!(won, Vec::from_iter(expected), "the winner is the one that was found");
}

#[test]
fn a_router_that_was_amended_many_times_leads_where_one_built_of_the_same_rules_does() {
    let mut rng = Rng::with_seed(0x6a7e_0006);
    let mut routes: std::collections::BTreeMap<u64, Vec<Plain>> = Default::default();
    let mut amended = Router::at([]);
    for round in 0..600 {
        let changed = [rng.u64(..RULES as u64), rng.u64(..RULES as u64)];
        for position in changed {
            let rules = (0..rng.usize(0..3)).map(|_| Plain::random(&mut rng)).collect();
            routes.insert(position, rules);
        }
        let rules_at = |position: u64| routes[&position].iter().map(move |plain| (position, plain.rule(), position));
        let mut places = changed.to_vec();
        places.dedup();
        amended = amended.amend(&places, places.iter().copied().flat_map(rules_at));
        let built = Router::at(routes.keys().copied().flat_map(rules_at));
        for _ in 0..10 {
            let request = Wanted::random(&mut rng).request();
            assert_eq!(amended.find(&request.head()), built.find(&request.head()), "round {round}");
        }
        let request = Wanted::random(&mut rng).request();
        assert_eq!(amended.explain(&request.head()).len(), built.explain(&request.head()).len(), "every rule in force, round {round}");
    }
}

#[test]
fn a_change_leaves_the_router_before_it_as_it_was() {
    let before = Router::at([(0, rule("/a"), "old"), (1, rule("/b"), "other")]);
    let after = before.amend(&[0], [(0, rule("/c"), "new")]);
    let find = |router: &Router<&'static str>, target: &str| router.find(&Request::parse(target).head()).copied();
    assert_eq!((find(&before, "GET x/a"), find(&before, "GET x/c")), (Some("old"), None));
    assert_eq!((find(&after, "GET x/a"), find(&after, "GET x/c"), find(&after, "GET x/b")), (None, Some("new"), Some("other")));
}
