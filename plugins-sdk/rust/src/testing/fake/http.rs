//! Upstreams as the test scripts them.

use core::cell::RefCell;
use std::boxed::Box;
use std::vec::Vec;

use crate::bindings::http as raw;
use crate::http::{Error, Request, Response};

type Upstreams = Box<dyn FnMut(&Request) -> Result<Response, Error>>;

std::thread_local! {
    static UPSTREAMS: RefCell<Option<Upstreams>> = const { RefCell::new(None) };
}

/// Scripts `http::fetch` and `http::fetch_all`: this answers each request.
pub fn http(upstreams: impl FnMut(&Request) -> Result<Response, Error> + 'static) {
    UPSTREAMS.set(Some(Box::new(upstreams)));
}

pub(crate) fn fetch(request: &raw::Request) -> Result<raw::Response, raw::Error> {
    UPSTREAMS.with_borrow_mut(|upstreams| {
        let upstreams = upstreams.as_mut().expect("the plugin called an upstream: script it with testing::http");
        let answer = upstreams(&Request::from_raw(request.clone()));
        answer.map(Response::into_raw).map_err(raw::Error::from)
    })
}

pub(crate) fn fetch_all(requests: &[raw::Request]) -> Vec<Result<raw::Response, raw::Error>> {
    assert!(requests.len() <= 16, "more than 16 requests at once are a fault");
    requests.iter().map(fetch).collect()
}
