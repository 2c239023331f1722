//! Signers for tests, and a certificate for a TLS origin. The keys were made for this file and sign nothing else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use serde_json::{Value, json};

/// Signs whatever it is given, sound or not.
pub struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: &'static str,
}

impl Signer {
    /// Signs by RS256 as `one`.
    pub fn rsa() -> Self {
        let key = EncodingKey::from_rsa_pem(RSA.as_bytes()).expect("the key below");
        Self { key, algorithm: Algorithm::RS256, kid: "one" }
    }

    /// Signs by RS256 as `two`.
    pub fn other_rsa() -> Self {
        let key = EncodingKey::from_rsa_pem(OTHER_RSA.as_bytes()).expect("the key below");
        Self { key, algorithm: Algorithm::RS256, kid: "two" }
    }

    /// Signs by ES256 as `three`.
    pub fn ec() -> Self {
        let key = EncodingKey::from_ec_pem(EC.as_bytes()).expect("the key below");
        Self { key, algorithm: Algorithm::ES256, kid: "three" }
    }

    /// Signs by EdDSA as `four`.
    pub fn ed() -> Self {
        let key = EncodingKey::from_ed_pem(ED.as_bytes()).expect("the key below");
        Self { key, algorithm: Algorithm::EdDSA, kid: "four" }
    }

    /// Signs by HS256 without a name.
    pub fn secret(secret: &[u8]) -> Self {
        Self { key: EncodingKey::from_secret(secret), algorithm: Algorithm::HS256, kid: "" }
    }

    /// Its public key.
    pub fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a key with a public half");
        let mut jwk = serde_json::to_value(jwk).expect("a key is JSON");
        jwk["kid"] = self.kid.into();
        jwk
    }

    /// A token of these claims with the header that belongs to them.
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = json!({"alg": self.algorithm, "typ": "JWT"});
        if !self.kid.is_empty() {
            header["kid"] = self.kid.into();
        }
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// A token of this very header and payload.
    pub fn sign_text(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, self.algorithm).expect("it signs");
        format!("{signed}.{signature}")
    }
}

/// The key set of these signers.
pub fn jwks(signers: &[&Signer]) -> String {
    json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()}).to_string()
}

/// A certificate for `localhost` and 127.0.0.1 that vouches for itself.
pub const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBojCCAUigAwIBAgIUNovOtaH1yiDgrNFoNZQ65D7JqkcwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOZ2F0ZWhvdXNlIHRlc3QwIBcNMjYxMTI0MDkyNzUzWhgPMjEy
NjEwMzEwOTI3NTNaMBkxFzAVBgNVBAMMDmdhdGVob3VzZSB0ZXN0MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAE9jPoDp6fFU8xtzoA1SV9VWFD0bwCeI8ktFVut+7q
VlLsYq3K/sN79qpilbRJxjgiSnA1/XtNkBOfLp45JjVyIaNsMGowHQYDVR0OBBYE
FAjerv87PY70Z3eFfVFxLCnLxWWGMB8GA1UdIwQYMBaAFAjerv87PY70Z3eFfVFx
LCnLxWWGMBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAMBgNVHRMBAf8EAjAA
MAoGCCqGSM49BAMCA0gAMEUCIGRhtuUthCAjcep4yfsCAX+L0sFNryIN9DVBJkga
ar5KAiEAyDt37LFz6q/NYsj4tJtosw+SD633qq4rDYaaP6PQde4=
-----END CERTIFICATE-----";

/// The key of [`CERTIFICATE`].
pub const CERTIFICATE_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbHiihDdjMvpQ1eR6
/O9Vst5rQBkZRtp37fd0Qu1iBTahRANCAAT2M+gOnp8VTzG3OgDVJX1VYUPRvAJ4
jyS0VW637upWUuxircr+w3v2qmKVtEnGOCJKcDX9e02QE58unjkmNXIh
-----END PRIVATE KEY-----";

const RSA: &str = "-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEAwzOWC/YCeuXy2YYHkBtVxdgfT2qrH83a24FXyzT12zKKnKUq
jMrOQKUJNT0cMLEh8BrIUGccU3hQcWtjm8zgbox1vVbADNq4WQPiN7aIWOxmWoXI
5AmfAL6Hb8lNteZuYQBmQwkBcelvPqpCC8l2OYrAEpMCw2UU+Husdq+BlymBOVyA
zl5/JasdpcsNsojxjAxfrg+LYWFdWooYoKu8GZI1kXQpjqJL7g55iSb5eu7+kTmD
1EZx81bB9tbZ1ZB6gI2ruYgLWOlmTLPi6VC0GLBwxB7aHqrNu8YA6hDIhrRu92Xh
/GFAyjVzjxZo7WXOLI9SLBy9Ptqs/BSIp7ooyQIDAQABAoIBAFdgJnh5KLgJaTCs
OYNscPLr4GwEk8/bLe2Wko1fyfNRxtECb67w8uzl0t7VWWKET2wyGNtApGHKl7uF
NeOeDBH/5o4XoETAvMb/oYmNt6+SNeisPPWyRs2m+2ny4kmbeWoLKzszc0Whl42l
2YV8KuLr9Dj8PD7pZr8pYNQJkIjwHgAE9e5Nr8DR7lyLAEUlYLCxpcP1BRIakTdF
VWirvdgG5K7mruxM+59SWiFZURjK2qpVPSRaiw/syAIShQP/g5OhjU7Xvzffs9Fq
ssR6K4R+AsUkq5h8z1M5XjyPh5/4Nl28RH1WINhPx86YCTlZQdHga5uZSO0wnjH0
qh4wRhcCgYEA/ROaJYUzmijR2/f90SKyAeUiVBXL52KMLKUdlP9/1qdnWrEW/xkt
1ncRfNyEvrpJ2T6yAqsoW+Mw+A/1y0ekiEqv1aWBPLi+/DOSdfpin+Q+DKVH3c4Y
tZRA5C37gpioOtk3yU96flSWfw4ZMAW0VOqEKW7pF/ruYfidtBJjBvcCgYEAxXTV
/NFYduWYTppwQqW83wJ78jZkgT2Vsme+TYz1k8aFcto51VFOQRxw4sJFl6sYWcoj
JyPpFNU48Jn0IwkenL6y7qu4mTsQY9TXFyqe5L+ARLz4nsx+dgj/NPOji87wTBlf
+LIdUj6IcZeqqmVW48mBQ/UOtbuRrltYz2apnj8CgYEA9urXLOBnVnOZPasaA6B8
WQj8k1mo1hr6dNysniEi04YFeyDpNP+WD3egolhtU8FiKAnZmGzyNaTWtFCuGiXO
TAPCxwpxq5L9FAglT+J5s1L3j1L7aVeaGB+LqJWMnQDgsnoYyds3wmY5Z8GTpZ0L
MwaU5/AEkJcNWp09EOIXqEUCgYBznrlag57gaApqJGaNsAzLLOI07wKk5tHMGJFH
Sb3W3QzxNrVconJHEAdN0GH9sHLeyM0SsyVdTIk94XgiN8nUEJonxSefmgU737pe
11cZLMVH+rs+CRIXvabqc6uVRwRQGx+mOW2P5gvxL9UAV7ysPybRCyKk6YMhbF2x
fDTf8wKBgGVZTffEIKYeWwhSJers5CVOjZ7P5Na3rQXKYmZf8jvjFci/mE9kcqTg
xjcPSr6bphLp9EspSC9S+aa5l/osEpJqgfNCtRtrw1lY9CVxVFa+htHgSQXImZ0G
lofnX4Clh5F2vJ2p0/bSqbG/S4FD0hQ9EkviS24TBmTkINWa6jyI
-----END RSA PRIVATE KEY-----";

const OTHER_RSA: &str = "-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEAv+2t1ITTb3gLSDMWgbRes/R6isFmoy08liXhNHO48OLlKuoW
30xtvmH38BmZg0KBtkbJuyROeSKSGyYGHy2x/Xk2hwubUfmgfIxGU/q9OMz52MvA
81EgNmJlQr+hG5p/yQ/GBJBmQZOcogaZhRiJ9XzZWL68eZOuB1yBe05t8ajnwqJX
ikg/e3cfEgX+2qD/jlH26aRguIazTlQxoj89VIfEvNeC0Ygn9CMjcPifgcj2PGJJ
GA5M94xyedJ9z9JIrEBBfXjCtWHcn2l+NQnQsEfkbH4aWuFEMnlFd2x3b8JBE/hU
J6jGKTnd7MpFF18AK9QwiCQJMH9khMlgjEB3LQIDAQABAoIBABqYm3ZlXaNcauZ7
ZeAIGE4u+m2QoAzMBPxNjX1Q7Uzm3u4+eCLuGrsUz7XZkPir1lZlotN9vtNxzfYD
I+VdgK++WfxcHbmTXQDwCK2J2SouMA/cfwV4tX0JJOfGBFOolOf4zpjtUFjqqqbt
QTLnaUlic//568ZGh7QvcSX0LVodBLB0FRFrProsLSwWOvzNkJD70MOFe/cB8vmZ
tK5Je/XIvSHxO4yDEt+ws1QU+HwGPmInLLv5wINuWjB9zkmE9bva44aatioxWDi2
rr0yw9l5NIPiq5vGAKpKwSTZTjBnjtT9nI34oO9/TblAEm4Mdov7qtj5u1csZFbT
aai+iKUCgYEA529JEJ0O0oz8XeLFoknCX7hWcprwfChh7f/nVolGz2ZQ22WzWree
jP3GUUgrozxGwrLcHO3UenYqpsfvda/tm+g6uW1d4U5LhtEc7ccdAavkGfASv5v3
PpidHhvSSvhJ8XVfuydQ3Mc2+F/cvXwFj8nxqmONN1Lg1oiKTgzw5A8CgYEA1Ezm
ZMFCjfT3MqVZvRoJ8wYgmfcyt/uhIVOq/DD0TpFZyufXlRhdBumrv6erYMOkR4Cc
M0+sxXCCm8wfCGgdcvcjZpbNcX8Uici61bhxDyFWiIDSKdNv4wiN7WTyvcv6MDOu
y4IlopaTkGVPTAgJ2Hranf2/ZKWPRXWMljfuhQMCgYEAu5JaaXihlsxljcJJ46pc
OzAwAFrLJhWkqTyKxnwkQ9vtFKRspM3FVwgnP6F6nKYxw4MrGtc3Krmy/9FzprKb
pYyma7rUJ9NJK084Xw7N15j1GoCU8W77CGSwksKBwflSFLzIherrgsSDLPKk+X4X
E97cWvisb3Zge//V+ERMyMkCgYAs2KHCnuCERD8Dv9IZFCsN3zl7zLA2FT2QYLA5
3c19205wglET+bWNBEd3kN+u7SUCxbQ5UpdYjc/JQXE8wWGXK4Wa4jg7xXB9Op3d
D70ySQSSiUPb+gIkn2X7w9tTJIeRLxm5e6Cfm9dIJV5+3SPXSvxra3LGvAJr1c0A
3ofQKQKBgEUix9m+68mdDnAlnu/6cSGULcyrHhvnWgIk8pIfB2jo1T1jmbSTD7bZ
gHaqQaGSVvgkXVVgcmV73CPBbYdpkaZSJPRgxRx9GDQ6BFMrtF23RZtMv49SOEVL
VNVE3l53t/yVjOSvVRtltuR99yNjbP+D7jVZGL6eh1jTP7pKMc8s
-----END RSA PRIVATE KEY-----";

const EC: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJx+/YWXrkMiokHAM
COIgVRhF1TGh1XCzxbIqpxjJf16hRANCAARxKitsN93RKAA28s5daNPXQWjwpGjg
C0+Zgs5E4HOQGXgKP5zHkThqCQzz6+wjuCJ+xFbeZa+ufAtNs3pz3tSM
-----END PRIVATE KEY-----";

const ED: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIDMV3icIfMDE/881P7r0TYBUMVYTbkkBXLTCst7epCnF
-----END PRIVATE KEY-----";
