//! gRPC, as far as a gateway has to know it: which requests are calls, their deadline, and how a call is told that it
//! came to nothing. Messages pass as any body does.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;

use crate::body::Body;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// What a message may not have as it is, `%` included.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// Whether a request is a call. It is HTTP/2 then, so HTTP/1 costs one comparison.
pub fn is_call(head: &http::request::Parts) -> bool {
    head.version == Version::HTTP_2 && head.method == Method::POST && is_grpc(&head.headers)
}

/// Whether a body is a stream of gRPC messages; gRPC-Web's are not.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let rest = headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

/// How long the client gives the whole call: up to eight digits and a unit.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// An answer of the gateway or of a plugin, as a call understands it: 200 and the status of gRPC, without a body.
/// What is gRPC already, or no refusal, stays as it is.
pub fn refusal(response: Response<Body>) -> Response<Body> {
    let status = response.status();
    if status.is_success() || is_grpc(response.headers()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let message = detail(&body).unwrap_or_else(|| status.canonical_reason().unwrap_or("refused").to_owned());
    head.status = StatusCode::OK;
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head.headers.insert(GRPC_STATUS, HeaderValue::from(code(status)));
    if let Ok(message) = HeaderValue::try_from(utf8_percent_encode(&message, ESCAPED).to_string()) {
        head.headers.insert(GRPC_MESSAGE, message);
    }
    Response::from_parts(head, Body::Empty)
}

/// gRPC's mapping of HTTP statuses, with a deadline for time-outs and an exhausted resource for what is too large.
fn code(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 | 431 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        408 | 504 => 4,
        413 => 8,
        429 | 502 | 503 => 14,
        _ => 2,
    }
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

fn detail(body: &Body) -> Option<String> {
    let Body::Full(document) = body else { return None };
    serde_json::from_slice::<Problem>(document).ok().map(|problem| problem.detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_as_the_specification_has_them() {
        #[track_caller]
        fn check(text: &'static str, expected: Option<Duration>) {
            let headers = HeaderMap::from_iter([(GRPC_TIMEOUT, HeaderValue::from_static(text))]);
            assert_eq!(timeout(&headers), expected, "{text:?}");
        }
        check("1H", Some(Duration::from_secs(3600)));
        check("2M", Some(Duration::from_secs(120)));
        check("3S", Some(Duration::from_secs(3)));
        check("250m", Some(Duration::from_millis(250)));
        check("5u", Some(Duration::from_micros(5)));
        check("99999999n", Some(Duration::from_nanos(99_999_999)));
        for bad in ["", "S", "5", "123456789S", "-1S", "1.5S", "1 S", "5s", "5é"] {
            let headers = HeaderMap::from_iter([(GRPC_TIMEOUT, HeaderValue::from_str(bad).unwrap())]);
            assert_eq!(timeout(&headers), None, "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_becomes_a_status_of_grpc() {
        let mut response = Response::new(Body::from(bytes::Bytes::from_static(br#"{"detail":"100 % gone"}"#)));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert("x-kept", HeaderValue::from_static("1"));
        let response = refusal(response);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[GRPC_STATUS], "14");
        assert_eq!(response.headers()[GRPC_MESSAGE], "100 %25 gone");
        assert_eq!(response.headers()["x-kept"], "1");
        assert!(response.body().is_empty());
    }

    #[test]
    fn what_is_no_refusal_stays() {
        let mut response = Response::new(Body::Empty);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        assert_eq!(refusal(response).status(), StatusCode::BAD_GATEWAY);
        assert!(!is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc-web"))])));
    }
}
