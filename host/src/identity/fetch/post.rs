//! Forms by HTTP, for the background only: one POST, a deadline, a size, no redirect. Connections are kept for the next
//! form, because a token that is asked about must not wait for a TLS handshake.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT},
};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{FetchError, Http, read};

/// Something that sends forms. The gateway uses [`Http`]; a test brings its own.
pub trait Post: Send + Sync + 'static {
    /// Sends a form and reads the whole answer, whatever its status. It may be sent twice, where the first was for a
    /// connection that the host had closed meanwhile.
    fn post(&self, form: &Form, limit: Duration) -> impl Future<Output = Result<Posted, FetchError>> + Send;
}

/// A form, ready to be sent.
#[derive(Clone)]
pub struct Form {
    /// An `http` or `https` address.
    pub url: Uri,
    /// The credentials of the gateway itself.
    pub authorization: HeaderValue,
    /// The fields, encoded.
    pub fields: String,
}

/// An answer to a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Connections that wait for another form, by where they lead.
#[derive(Default)]
pub(super) struct Idle(Mutex<HashMap<String, Vec<Kept>>>);

struct Kept {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

impl Post for Http {
    async fn post(&self, form: &Form, limit: Duration) -> Result<Posted, FetchError> {
        timeout(limit, self.send(form)).await.map_err(|_| FetchError::Late(limit))?
    }
}

impl Http {
    async fn send(&self, form: &Form) -> Result<Posted, FetchError> {
        let place = place(&form.url)?;
        let (posted, sender) = match self.on_kept(&place, form).await {
            Some(exchanged) => exchanged?,
            None => exchange(self.open(form).await?, form).await?,
        };
        self.idle.keep(place, sender);
        Ok(posted)
    }

    // None where there is no kept connection, or its host had closed it meanwhile.
    async fn on_kept(&self, place: &str, form: &Form) -> Option<Exchanged> {
        let sender = self.idle.take(place)?;
        match exchange(sender, form).await {
            Err(FetchError::Exchange(_)) => None,
            exchanged => Some(exchanged),
        }
    }

    async fn open(&self, form: &Form) -> Result<SendRequest<Full<Bytes>>, FetchError> {
        let host = form.url.host().ok_or_else(|| FetchError::Address(form.url.clone()))?;
        let stream = self.connect(&form.url, host.trim_matches(['[', ']'])).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(FetchError::Exchange)?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

type Exchanged = Result<(Posted, SendRequest<Full<Bytes>>), FetchError>;

async fn exchange(mut sender: SendRequest<Full<Bytes>>, form: &Form) -> Exchanged {
    sender.ready().await.map_err(FetchError::Exchange)?;
    let response = sender.send_request(request(form)?).await.map_err(FetchError::Exchange)?;
    let status = response.status();
    Ok((Posted { status, body: read(response.into_body()).await? }, sender))
}

fn request(form: &Form) -> Result<Request<Full<Bytes>>, FetchError> {
    let address = || FetchError::Address(form.url.clone());
    let authority = form.url.authority().ok_or_else(address)?;
    let path = form.url.path_and_query().map_or("/", |path| path.as_str());
    Request::post(path)
        .header(HOST, authority.as_str())
        .header(AUTHORIZATION, &form.authorization)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .header(USER_AGENT, HeaderValue::from_static("gatehouse"))
        .body(Full::from(form.fields.clone()))
        .map_err(|_| address())
}

fn place(url: &Uri) -> Result<String, FetchError> {
    match (url.scheme_str(), url.authority()) {
        (Some(scheme), Some(authority)) => Ok(format!("{scheme}://{authority}")),
        _ => Err(FetchError::Address(url.clone())),
    }
}

// === impl Idle ===

impl Idle {
    // Below what servers commonly allow, so that a kept connection is seldom found closed.
    const MAX_AGE: Duration = Duration::from_secs(4);

    const MAX_KEPT: usize = 16;

    // The one that came back last: it is the least likely to have been closed.
    fn take(&self, place: &str) -> Option<SendRequest<Full<Bytes>>> {
        let mut places = self.0.lock();
        let kept = places.get_mut(place)?.pop()?;
        let usable = kept.since.elapsed() < Self::MAX_AGE && !kept.sender.is_closed();
        if !usable {
            // Those below are older still.
            places.remove(place);
        }
        usable.then_some(kept.sender)
    }

    fn keep(&self, place: String, sender: SendRequest<Full<Bytes>>) {
        let mut places = self.0.lock();
        let kept = places.entry(place).or_default();
        if kept.len() >= Self::MAX_KEPT {
            kept.remove(0);
        }
        kept.push(Kept { sender, since: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    fn form(listener: &TcpListener) -> Form {
        let url = format!("http://{}/introspect", listener.local_addr().expect("it is bound"));
        let authorization = HeaderValue::from_static("Basic aWQ6c2VjcmV0");
        Form { url: url.parse().expect("an address"), authorization, fields: "token=a%20b".into() }
    }

    fn http() -> Http {
        Http::with_roots(RootCertStore::empty())
    }

    async fn listen() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.expect("a free port")
    }

    // Reads one form and answers it.
    async fn answer(stream: &mut TcpStream, status: &str, body: &str) -> String {
        let mut asked = Vec::new();
        while !asked.ends_with(b"token=a%20b") {
            asked.push(stream.read_u8().await.expect("a whole form"));
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.expect("the asker listens");
        String::from_utf8(asked).expect("a form of ASCII")
    }

    #[tokio::test]
    async fn a_form_goes_out_whole_and_any_answer_comes_back() {
        let (listener, http) = (listen().await, http());
        let form = form(&listener);
        let host = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            answer(&mut stream, "400 Bad Request", "{}").await
        });
        let posted = http.post(&form, LIMIT).await.unwrap();
        assert_eq!(posted, Posted { status: StatusCode::BAD_REQUEST, body: "{}".into() }, "a refusal is an answer");
        let asked = host.await.expect("the host does not panic");
        assert!(asked.starts_with("POST /introspect HTTP/1.1\r\nhost: 127.0.0.1:"), "{asked}");
        for line in ["authorization: Basic aWQ6c2VjcmV0", "content-type: application/x-www-form-urlencoded", "content-length: 11"] {
            assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line} is in {asked}");
        }
    }

    #[tokio::test]
    async fn a_connection_serves_one_form_after_the_other() {
        let (listener, http) = (listen().await, http());
        let form = form(&listener);
        let host = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            answer(&mut stream, "200 OK", "1").await;
            answer(&mut stream, "200 OK", "2").await;
        });
        assert_eq!(http.post(&form, LIMIT).await.unwrap().body, "1");
        assert_eq!(http.post(&form, LIMIT).await.unwrap().body, "2", "on the same connection");
        host.await.expect("the host does not panic");
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_meanwhile_costs_another_one_and_no_answer() {
        let (listener, http) = (listen().await, http());
        let form = form(&listener);
        let host = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            answer(&mut stream, "200 OK", "1").await;
            drop(stream);
            let (mut stream, _) = listener.accept().await.expect("another connection");
            answer(&mut stream, "200 OK", "2").await;
        });
        assert_eq!(http.post(&form, LIMIT).await.unwrap().body, "1");
        assert_eq!(http.post(&form, LIMIT).await.unwrap().body, "2", "on a new connection");
        host.await.expect("the host does not panic");
    }

    #[tokio::test]
    async fn a_host_that_is_late_or_says_too_much_is_given_up() {
        let (listener, http) = (listen().await, http());
        let form = form(&listener);
        assert!(matches!(http.post(&form, Duration::from_millis(20)).await, Err(FetchError::Late(_))), "nobody answers");
        tokio::spawn(async move {
            let (mut silent, _) = listener.accept().await.expect("the connection of before");
            let _ = silent.read_u8().await;
            let (mut stream, _) = listener.accept().await.expect("a connection");
            answer(&mut stream, "200 OK", &"x".repeat(Http::MAX_BODY + 1)).await;
        });
        assert!(matches!(http.post(&form, LIMIT).await, Err(FetchError::TooLarge)), "a byte too much");
    }
}
