//! What is tried with tokens, and gets nobody in. Each attack is sent to a gateway that takes RS256, ES256 and, from
//! another issuer, HS256; the keys that some tokens bring along point to a server that must never hear of it.

use gatehouse_tests::{
    Answer, Gateway, Origin, Request, Setup, get,
    tokens::{AUDIENCE, ISSUER, SigningKey, claims, encode, key_set, seconds_from_now, sign_with_secret},
};
use serde_json::{Value, json};

const SHARED: &str = "https://shared.example";
const SECRET: &[u8; 32] = b"thirty-two bytes that both know.";

struct Target {
    gateway: Gateway,
    origin: Origin,
    attacker: Origin,
    rsa: SigningKey,
    ec: SigningKey,
    // Bears the name of the RSA key.
    stranger: SigningKey,
}

impl Target {
    async fn new() -> Self {
        let (rsa, ec, stranger) = (SigningKey::rs256("rsa"), SigningKey::es256("ec"), SigningKey::rs256("rsa"));
        let origin = Origin::saying("through").await;
        let keys = key_set(&[&stranger]);
        let attacker = Origin::start(move |_| Answer::new(200, &[("content-type", "application/json")], &keys)).await;
        let yaml = format!(
            "
            issuers:
              - {{name: main, issuer: \"{ISSUER}\", audiences: [{AUDIENCE}], algorithms: [RS256, ES256], jwks: {{file: $DIR/keys.json}}}}
              - {{name: shared, issuer: \"{SHARED}\", audiences: [{AUDIENCE}], algorithms: [HS256], secret: {{file: $DIR/secret}}}}
            upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
            routes: [{{name: all, chain: [{{plugin: jwt, config: {{issuers: [main, shared]}}}}], upstream: origin}}]
            ",
            origin.url()
        );
        let setup = Setup::new(&yaml).file("keys.json", key_set(&[&rsa, &ec])).file("secret", *SECRET);
        Self { gateway: setup.start().await, origin, attacker, rsa, ec, stranger }
    }

    async fn check_refused(&self, what: &str, token: &str) {
        self.check_request_refused(what, bearing(token), &[401]).await;
    }

    async fn check_request_refused(&self, what: &str, request: Request, statuses: &[u16]) {
        let response = self.gateway.ask(request).await;
        assert!(statuses.contains(&response.status), "{what} stays out: {}", response.head);
        let challenge = response.header("www-authenticate").unwrap_or_else(|| panic!("{what}: a refusal has a challenge"));
        assert!(challenge.starts_with("Bearer realm="), "{what}: {challenge}");
    }

    async fn check_accepted(&self, what: &str, token: &str) {
        let response = self.gateway.ask(bearing(token)).await;
        assert_eq!(response.status, 200, "{what} gets in: {}{}", response.head, response.text());
    }

    /// What has to be true after every series of attacks. The good tokens show that the attacks failed for their own sake.
    async fn check_unharmed(&self) {
        assert_eq!(self.origin.hits(), 0, "nothing reached the upstream: {:?}", self.origin.requests());
        assert_eq!(self.attacker.connections(), 0, "nobody asked the attacker's server: {:?}", self.attacker.requests());
        self.check_accepted("an RS256 token", &self.rsa.token("alice")).await;
        self.check_accepted("an ES256 token", &self.ec.token("alice")).await;
        self.check_accepted("an HS256 token", &sign_with_secret(SECRET, &json!({"alg": "HS256"}), &shared_claims())).await;
        assert_eq!(self.gateway.metrics().await.sum("gatehouse_plugin_faults_total", &[]), 0.0, "and no plugin faulted");
    }
}

fn bearing(token: &str) -> Request {
    get("/").header("authorization", &format!("Bearer {token}"))
}

fn shared_claims() -> Value {
    with(claims("alice"), "iss", json!(SHARED))
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().expect("an object").remove(name);
    object
}

fn unsigned(header: &Value) -> String {
    format!("{}.{}", encode(header.to_string()), encode(claims("alice").to_string()))
}

#[tokio::test]
async fn no_spelling_of_none_is_a_signature() {
    let target = Target::new().await;
    for spelling in ["none", "None", "NONE", "nOnE", "none ", " none", "", "null", "n\u{f6}ne", "HS0"] {
        for kid in [json!({"alg": spelling}), json!({"alg": spelling, "kid": "rsa"})] {
            let head = unsigned(&kid);
            for token in [head.clone(), format!("{head}."), format!("{head}.AA"), format!("{head}..")] {
                target.check_refused(&format!("{spelling:?}"), &token).await;
            }
            target.check_refused(&format!("{spelling:?}, signed"), &target.rsa.sign_with_header(&kid, &claims("alice"))).await;
        }
    }
    for header in [json!({}), json!({"alg": null}), json!({"alg": ["RS256"]}), json!({"alg": {"RS256": 1}}), json!({"alg": 256})] {
        target.check_refused(&format!("{header}"), &target.rsa.sign_with_header(&header, &claims("alice"))).await;
    }
    target.check_unharmed().await;
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let target = Target::new().await;
    for (form, bytes) in target.rsa.public_forms() {
        for alg in ["HS256", "HS384", "HS512", "RS256", "hs256"] {
            for header in [json!({"alg": alg, "kid": "rsa"}), json!({"alg": alg})] {
                let forged = sign_with_secret(&bytes, &header, &claims("root"));
                target.check_refused(&format!("{alg} with the {form}"), &forged).await;
                let forged = sign_with_secret(&bytes, &header, &shared_claims());
                target.check_refused(&format!("{alg} with the {form}, as the other issuer"), &forged).await;
            }
        }
    }
    for (what, token) in [
        ("the secret of one issuer for another", sign_with_secret(SECRET, &json!({"alg": "HS256"}), &claims("root"))),
        ("the key of one issuer for another", target.rsa.sign_with_header(&json!({"alg": "RS256"}), &shared_claims())),
        ("an empty secret", sign_with_secret(b"", &json!({"alg": "HS256"}), &shared_claims())),
        ("a secret with a line end", sign_with_secret(&[&SECRET[..], b"\n"].concat(), &json!({"alg": "HS256"}), &shared_claims())),
    ] {
        target.check_refused(what, &token).await;
    }
    target.check_unharmed().await;
}

#[tokio::test]
async fn a_key_verifies_only_by_its_own_algorithm() {
    let target = Target::new().await;
    for (key, header) in [
        (&target.rsa, json!({"alg": "ES256", "kid": "rsa"})),
        (&target.rsa, json!({"alg": "ES256", "kid": "ec"})),
        (&target.rsa, json!({"alg": "ES256"})),
        (&target.rsa, json!({"alg": "RS256", "kid": "ec"})),
        (&target.rsa, json!({"alg": "PS256", "kid": "rsa"})),
        (&target.rsa, json!({"alg": "RS512", "kid": "rsa"})),
        (&target.rsa, json!({"alg": "EdDSA", "kid": "rsa"})),
        (&target.ec, json!({"alg": "RS256", "kid": "ec"})),
        (&target.ec, json!({"alg": "RS256", "kid": "rsa"})),
        (&target.ec, json!({"alg": "ES384", "kid": "ec"})),
        (&target.ec, json!({"alg": "ES256K", "kid": "ec"})),
        (&target.ec, json!({"alg": "ES256", "kid": "rsa"})),
    ] {
        target.check_refused(&header.to_string(), &key.sign_with_header(&header, &claims("alice"))).await;
    }
    target.check_unharmed().await;
}

#[tokio::test]
async fn a_key_id_is_a_name_and_nothing_else() {
    let target = Target::new().await;
    let url = target.attacker.url();
    let kids = [
        json!("../../../../../../dev/null"),
        json!("/dev/null"),
        json!("file:///dev/null"),
        json!("keys.json"),
        json!("../keys.json"),
        json!(format!("{url}/keys")),
        json!("' OR '1'='1"),
        json!("rsa' UNION SELECT 'AAAA"),
        json!("$(id)"),
        json!("`id`|id;id"),
        json!("rsa\u{0}"),
        json!("rsa\n"),
        json!(" rsa"),
        json!("RSA"),
        json!("%72sa"),
        json!("rsa/../rsa"),
        json!("*"),
        json!(""),
        json!("x".repeat(4_000)),
        json!(["rsa"]),
        json!({"kid": "rsa"}),
        json!(0),
        json!(true),
        json!(null),
    ];
    for kid in kids {
        let header = json!({"alg": "RS256", "kid": kid});
        target.check_refused(&format!("{kid}, by a stranger"), &target.stranger.sign_with_header(&header, &claims("root"))).await;
        let header = json!({"alg": "HS256", "kid": kid});
        target.check_refused(&format!("{kid}, by an empty secret"), &sign_with_secret(b"", &header, &claims("root"))).await;
        target.check_refused(&format!("{kid}, by a zero byte"), &sign_with_secret(b"\0", &header, &shared_claims())).await;
    }
    target.check_unharmed().await;
}

#[tokio::test]
async fn a_token_does_not_bring_its_own_key() {
    let target = Target::new().await;
    let (url, jwk) = (target.attacker.url(), target.stranger.jwk());
    let header = json!({"alg": "RS256"});
    for more in [
        json!({"jwk": jwk}),
        json!({"jwk": jwk, "kid": "rsa"}),
        json!({"jwk": jwk.to_string()}),
        json!({"jku": format!("{url}/keys"), "kid": "rsa"}),
        json!({"jku": format!("{ISSUER}@{}/keys", url.trim_start_matches("http://")), "kid": "rsa"}),
        json!({"x5u": format!("{url}/chain.pem"), "kid": "rsa"}),
        json!({"x5c": ["MIIBojCCAUigAwIBAgIU"], "kid": "rsa"}),
        json!({"x5t": "AAAA", "x5t#S256": "AAAA", "jku": format!("{url}/keys")}),
        json!({"iss": url, "jwks_uri": format!("{url}/keys")}),
    ] {
        let mut header = header.clone();
        header.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        target.check_refused(&header.to_string(), &target.stranger.sign_with_header(&header, &claims("root"))).await;
    }
    for issuer in [url.clone(), format!("{url}/"), format!("{ISSUER}#{url}")] {
        let claims = with(claims("root"), "iss", json!(issuer));
        target.check_refused(&format!("an issuer of the attacker's, {issuer}"), &target.stranger.sign(&claims)).await;
    }
    target.check_unharmed().await;
    // They are ignored, not believed and not feared: such a token by the right key is as good as any.
    let header = json!({"alg": "RS256", "kid": "rsa", "jku": format!("{url}/keys"), "jwk": jwk});
    target.check_accepted("a genuine token that names keys", &target.rsa.sign_with_header(&header, &claims("alice"))).await;
    assert_eq!(target.attacker.connections(), 0, "and they are still not asked for");
}

#[tokio::test]
async fn what_must_be_understood_and_is_not_is_refused() {
    let target = Target::new().await;
    let header = json!({"alg": "RS256", "kid": "rsa"});
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["b64"])),
        ("crit", json!("exp")),
        ("crit", json!(null)),
        ("typ", json!("JOSE")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("application/application/jwt")),
        ("typ", json!(["JWT"])),
    ] {
        let header = with(header.clone(), name, value);
        target.check_refused(&header.to_string(), &target.rsa.sign_with_header(&header, &claims("alice"))).await;
    }
    target.check_unharmed().await;
}

#[tokio::test]
async fn claims_are_read_to_the_letter() {
    let target = Target::new().await;
    let good = || claims("alice");
    for (what, claims) in [
        ("expired", with(good(), "exp", json!(seconds_from_now(-1)))),
        ("no end", without(good(), "exp")),
        ("an end in text", with(good(), "exp", json!(seconds_from_now(3_600).to_string()))),
        ("an end that is nothing", with(good(), "exp", json!(null))),
        ("an end before time", with(good(), "exp", json!(-1))),
        ("an end past all time", with(good(), "exp", json!(1e300))),
        ("an end in a list", with(good(), "exp", json!([seconds_from_now(3_600)]))),
        ("not yet", with(good(), "nbf", json!(seconds_from_now(120)))),
        ("not yet in text", with(good(), "nbf", json!("0"))),
        ("issued in the future", with(good(), "iat", json!(seconds_from_now(120)))),
        ("no issuer", without(good(), "iss")),
        ("an issuer with a slash", with(good(), "iss", json!(format!("{ISSUER}/")))),
        ("an issuer in capitals", with(good(), "iss", json!(ISSUER.to_uppercase()))),
        ("an issuer with more to it", with(good(), "iss", json!(format!("{ISSUER}.evil.example")))),
        ("issuers", with(good(), "iss", json!([ISSUER]))),
        ("no audience", without(good(), "aud")),
        ("an empty audience", with(good(), "aud", json!([]))),
        ("another audience", with(good(), "aud", json!("other"))),
        ("other audiences", with(good(), "aud", json!(["other", "another"]))),
        ("an audience with more to it", with(good(), "aud", json!("api.evil.example"))),
        ("an audience in capitals", with(good(), "aud", json!("API"))),
        ("audiences within audiences", with(good(), "aud", json!([[AUDIENCE]]))),
        ("an audience that is an object", with(good(), "aud", json!({"api": true}))),
        ("a number among audiences", with(good(), "aud", json!([AUDIENCE, 1]))),
        ("a subject that is a number", with(good(), "sub", json!(1))),
        ("scopes that are an object", with(good(), "scope", json!({"orders.read": true}))),
        ("claims nine deep", with(good(), "deep", nested(8))),
        ("claims two hundred deep", with(good(), "deep", nested(200))),
        ("no object", json!([good()])),
        ("a text", json!("alice")),
    ] {
        target.check_refused(what, &target.rsa.sign(&claims)).await;
    }
    target.check_unharmed().await;
    target.check_accepted("claims eight deep", &target.rsa.sign(&with(good(), "deep", nested(7)))).await;
    target.check_accepted("one audience of several", &target.rsa.sign(&with(good(), "aud", json!(["other", AUDIENCE])))).await;
}

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!([]), |inner, _| json!([inner]))
}

#[tokio::test]
async fn json_with_two_readings_has_none() {
    let target = Target::new().await;
    let head = r#"{"alg":"RS256","kid":"rsa"}"#;
    let body = claims("alice").to_string();
    let rest = &body[1..];
    let (past, future) = (seconds_from_now(-60), seconds_from_now(7_200));
    for (what, header, payload) in [
        ("two subjects", head.into(), format!(r#"{{"sub":"root",{rest}"#)),
        ("two subjects, one in other letters", head.into(), format!(r#"{{"\u0073ub":"root",{rest}"#)),
        ("two ends, the first good", head.into(), format!(r#"{{"exp":{future},{rest}"#)),
        ("two ends, the first bad", head.into(), format!(r#"{{"exp":{past},{rest}"#)),
        ("two scopes further down", head.into(), format!(r#"{{"a":{{"b":1,"b":2}},{rest}"#)),
        ("two algorithms", r#"{"alg":"none","alg":"RS256","kid":"rsa"}"#.into(), body.clone()),
        ("two key ids", r#"{"alg":"RS256","kid":"x","kid":"rsa"}"#.into(), body.clone()),
        ("something after the claims", head.into(), format!("{body}{body}")),
        ("something after the header", format!("{head}x"), body.clone()),
        ("a mark before the claims", head.into(), format!("\u{feff}{body}")),
        ("a comment", head.into(), format!("/**/{body}")),
        ("a comma too many", head.into(), format!("{},}}", &body[..body.len() - 1])),
        ("no JSON number", head.into(), format!(r#"{{"x":NaN,{rest}"#)),
        ("a bare control character", head.into(), format!("{{\"x\":\"\u{1}\",{rest}")),
        ("half a surrogate", head.into(), format!(r#"{{"x":"\ud800",{rest}"#)),
        ("nothing", head.into(), String::new()),
        ("a header that is a list", r#"["RS256"]"#.into(), body.clone()),
        ("an empty header", String::new(), body.clone()),
    ] {
        target.check_refused(what, &target.rsa.sign_text(&header, &payload)).await;
    }
    target.check_unharmed().await;
}

#[tokio::test]
async fn a_token_has_one_spelling() {
    let target = Target::new().await;
    let good = target.rsa.token("alice");
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("a token has three parts") };
    let flattened = json!({"protected": header, "payload": payload, "signature": signature}).to_string();
    let general = json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]}).to_string();
    for (what, token) in [
        ("padding", format!("{good}=")),
        ("more padding", format!("{good}==")),
        ("padding in the middle", format!("{header}=.{payload}.{signature}")),
        ("padding after the claims", format!("{header}.{payload}=.{signature}")),
        ("the other alphabet", format!("{header}.{payload}.{}+/", &signature[..signature.len() - 2])),
        ("a bit too many", format!("{header}.{payload}.{}", with_a_spare_bit(signature))),
        ("a character too many", format!("{good}A")),
        ("characters too many", format!("{good}AAAA")),
        ("a character too few", good[..good.len() - 1].to_owned()),
        ("a percent sign", good.replace('.', "%2E")),
        ("a space inside", format!("{header}. {payload}.{signature}")),
        ("a tab at the end", format!("{header}.{payload}.{signature}\tx")),
        ("something after it", format!("{good} {good}")),
        ("a fourth part", format!("{good}.AAAA")),
        ("an empty fourth part", format!("{good}.")),
        ("five parts", format!("{header}.{payload}.{signature}.{payload}.{signature}")),
        ("two parts", format!("{header}.{payload}")),
        ("no signature", format!("{header}.{payload}.")),
        ("no header", format!(".{payload}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("dots", "..".to_owned()),
        ("flattened JSON", flattened),
        ("general JSON", general),
        ("letters that are none", format!("{header}.{payload}.{}", "\u{e9}".repeat(100))),
        ("somebody else's claims", format!("{header}.{}.{signature}", encode(claims("root").to_string()))),
        ("somebody else's header", format!("{}.{payload}.{signature}", encode(json!({"alg": "RS256"}).to_string()))),
    ] {
        target.check_request_refused(what, bearing(&token), &[400, 401]).await;
    }
    target.check_unharmed().await;
}

/// The same bytes in base64url, if one does not look at the bits that are left over.
fn with_a_spare_bit(part: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = *part.as_bytes().last().expect("a part has letters");
    let place = ALPHABET.iter().position(|letter| *letter == last).expect("a letter of base64url");
    assert!(place.is_multiple_of(4), "256 bytes leave bits over");
    format!("{}{}", &part[..part.len() - 1], char::from(ALPHABET[place + 1]))
}

#[tokio::test]
async fn a_signature_on_a_curve_is_two_numbers_in_range() {
    let target = Target::new().await;
    let good = target.ec.token("alice");
    let (signed, signature) = good.rsplit_once('.').expect("a token has dots");
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&order[at * 2..at * 2 + 2], 16).expect("hexadecimal")).collect();
    let one = [&[0; 31][..], &[1]].concat();
    for (what, signature) in [
        ("zeros", vec![0; 64]),
        ("ones", vec![255; 64]),
        ("the order twice", [&order[..], &order].concat()),
        ("zero and the order", [&[0; 32][..], &order].concat()),
        ("one twice", [&one[..], &one].concat()),
        ("one and zero", [&one[..], &[0; 32]].concat()),
        ("zero and one", [&[0; 32][..], &one].concat()),
        ("a zero of 63 bytes", vec![0; 63]),
        ("a zero of 65 bytes", vec![0; 65]),
        ("a zero of 1,000 bytes", vec![0; 1_000]),
        ("one byte", vec![0]),
        ("ASN.1", [&[0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01][..]].concat()),
    ] {
        for header in [json!({"alg": "ES256", "kid": "ec"}), json!({"alg": "ES256"})] {
            let token = format!("{}.{}", unsigned(&header), encode(&signature));
            target.check_refused(&format!("{what} under {header}"), &token).await;
        }
        target.check_refused(&format!("{what} under a genuine head"), &format!("{signed}.{}", encode(&signature))).await;
    }
    target.check_refused("another token's signature", &format!("{}.{signature}", unsigned(&json!({"alg": "ES256", "kid": "ec"})))).await;
    target.check_unharmed().await;
}

#[tokio::test]
async fn only_one_token_of_limited_length_is_read() {
    let target = Target::new().await;
    let good = target.rsa.token("alice");
    let authorization = format!("Bearer {good}");
    let twice = bearing(&good).header("authorization", &authorization);
    for (what, request) in [
        ("the same token twice", twice),
        ("a forged one after a good one", bearing(&good).header("authorization", &format!("Bearer {}", target.stranger.token("root")))),
        ("a good one after a forged one", bearing(&target.stranger.token("root")).header("authorization", &authorization)),
        ("Basic beside it", bearing(&good).header("authorization", "Basic YTpi")),
        ("two in a list", get("/").header("authorization", &format!("Bearer {good}, Bearer {good}"))),
        ("two in a row", get("/").header("authorization", &format!("Bearer {good} {good}"))),
        ("none", get("/").header("authorization", "Bearer ")),
        ("the scheme alone", get("/").header("authorization", "Bearer")),
        ("the scheme twice", get("/").header("authorization", &format!("Bearer Bearer {good}"))),
        ("no scheme", get("/").header("authorization", &good)),
        ("another scheme", get("/").header("authorization", &format!("DPoP {good}"))),
        ("the query", get(&format!("/?access_token={good}"))),
        ("a cookie", get("/").header("cookie", &format!("access_token={good}"))),
        ("a proxy's header", get("/").header("proxy-authorization", &authorization)),
    ] {
        target.check_request_refused(what, request, &[400, 401]).await;
    }
    // Header, dots and signature take 4/3 of 256 bytes and a little; the claims take the rest.
    let filled = |letters: usize| target.rsa.sign(&with(claims("alice"), "fill", json!("x".repeat(letters))));
    let fits = (5_000..).map(filled).take_while(|token| token.len() <= 8_192).last().expect("5,000 letters fit");
    let too_long = filled(6_000);
    assert!(fits.len() > 8_180 && too_long.len() > 8_192, "{} and {}", fits.len(), too_long.len());
    target.check_refused("a genuine token of more than 8 KiB", &too_long).await;
    target.check_refused("letters", &"A".repeat(9_000)).await;
    target.check_refused("dots", &".".repeat(9_000)).await;
    target.check_unharmed().await;
    target.check_accepted("a genuine token of 8 KiB", &fits).await;
}
