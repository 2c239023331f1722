//! What an instance works on: one request with its response, as long as the step has to do with it.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;

use crate::plugin::verdict::Reply;
use crate::telemetry::RequestId;
use crate::telemetry::traces::context::Context;

use super::message::Head;
use super::rope::Rope;

/// The ways of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the upstream.
    Request,
    /// Back to the client.
    Response,
}

/// What is known of a request beside what it says, for properties.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its number.
    pub id: RequestId,
    /// The client's address.
    pub address: IpAddr,
    /// The name of its route.
    pub route: Arc<str>,
    /// The upstream that the route leads to, where there is one only.
    pub upstream: Option<Arc<str>>,
    /// When it came to the step.
    pub began: Instant,
    /// The span that calls happen below; None where the gateway does not trace.
    pub trace: Option<Context>,
}

/// One direction of a stream.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Its head: the guest's to change while `headers_open`, and to read ever after.
    pub head: Head,
    pub headers_open: bool,
    /// What is held of its body.
    pub body: Rope,
    pub body_open: bool,
    /// Bytes of its body that came so far.
    pub received: u64,
    pub trailers: Option<Head>,
    /// The guest said that what it paused may go on.
    pub resumed: bool,
}

/// A request with its response.
pub(super) struct Exchange {
    pub facts: Facts,
    pub request: Side,
    pub response: Side,
    /// The answer that the guest gave.
    pub reply: Option<Reply>,
    /// The guest wants no more of it.
    pub closed: bool,
    /// It said no to `on_done`, and will say when.
    pub lingers: bool,
    /// Who waits for a paused stream to go on.
    pub waker: Option<Waker>,
    /// What the guest set by `proxy_set_property`.
    pub properties: Vec<(Box<[u8]>, Bytes)>,
}

impl Exchange {
    pub fn new(facts: Facts) -> Self {
        Self {
            facts,
            request: Side::default(),
            response: Side::default(),
            reply: None,
            closed: false,
            lingers: false,
            waker: None,
            properties: Vec::new(),
        }
    }

    pub fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// Has whoever waits look again.
    pub fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Side {
    /// Takes a head for the guest to change.
    pub fn open(&mut self, head: Head) {
        self.head = head;
        self.headers_open = true;
    }

    /// Gives the head back. What the guest may read later is a copy of it.
    pub fn close(&mut self) -> Head {
        self.headers_open = false;
        let kept = self.head.clone();
        std::mem::replace(&mut self.head, kept)
    }

    /// Takes trailers.
    pub fn open_trailers(&mut self, trailers: HeaderMap) {
        self.trailers = Some(Head::trailers(trailers));
    }
}

/// The exchanges of an instance, by the ids that the guest knows them by.
#[derive(Default)]
pub(super) struct Exchanges {
    places: Vec<Option<Box<Exchange>>>,
    free: Vec<u32>,
    live: usize,
}

/// The guest's context for all that belongs to no request.
pub(super) const ROOT: u32 = 1;
const FIRST: u32 = 2;

impl Exchanges {
    pub fn add(&mut self, exchange: Box<Exchange>) -> u32 {
        self.live += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() as u32 - 1
        });
        self.places[place as usize] = Some(exchange);
        place + FIRST
    }

    pub fn get(&mut self, id: u32) -> Option<&mut Exchange> {
        self.places.get_mut(id.checked_sub(FIRST)? as usize)?.as_deref_mut()
    }

    /// Forgets one. Its id may be used again.
    pub fn remove(&mut self, id: u32) {
        let place = id.wrapping_sub(FIRST);
        if self.places.get_mut(place as usize).and_then(Option::take).is_some() {
            self.live -= 1;
            self.free.push(place);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.live
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Exchange> {
        self.places.iter_mut().filter_map(Option::as_deref_mut)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn exchange() -> Box<Exchange> {
        Box::new(Exchange::new(Facts {
            id: RequestId([1, 2]),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            route: "all".into(),
            upstream: None,
            began: Instant::now(),
            trace: None,
        }))
    }

    #[test]
    fn an_id_is_used_again_when_its_exchange_is_gone() {
        let mut exchanges = Exchanges::default();
        assert_eq!((exchanges.add(exchange()), exchanges.add(exchange())), (2, 3), "1 is the root's");
        exchanges.remove(2);
        exchanges.remove(2);
        assert!(exchanges.get(2).is_none() && exchanges.get(3).is_some());
        assert!(exchanges.get(0).is_none() && exchanges.get(ROOT).is_none() && exchanges.get(u32::MAX).is_none());
        assert_eq!((exchanges.len(), exchanges.add(exchange()), exchanges.add(exchange())), (1, 2, 4));
    }
}
