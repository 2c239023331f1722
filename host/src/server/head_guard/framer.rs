//! Follows the framing of the requests on one connection: head, body, next head. Sees bytes, does no input or output.

use std::rc::Rc;

use memchr::memchr;

use super::Limits;
use super::chunked::Chunked;
use super::handle::{Shared, Upgrade};
use super::head::{self, Body, Head};
use super::violation::Violation;

/// What the next byte of the connection belongs to.
#[derive(Debug)]
pub enum Place {
    /// A head, or the pause before it.
    Head,
    /// A body with this many bytes to come.
    Body(u64),
    /// A chunked body.
    Chunked(Chunked),
    /// A connection that was upgraded: nothing is looked at any more.
    Upgraded,
    /// The head here was refused, so nothing after it counts.
    Refused,
    /// The body here was refused, so nothing after it counts.
    Broken(Violation),
}

/// The framing of one connection.
#[derive(Debug)]
pub struct Framer {
    pub place: Place,
    limits: Limits,
    shared: Rc<Shared>,
}

impl Framer {
    pub fn new(limits: Limits, shared: Rc<Shared>) -> Self {
        Self { place: Place::Head, limits, shared }
    }

    /// How many bytes at the front of `bytes` may go on to hyper now.
    ///
    /// The rest is a head that is not whole, or, once the place says so, bytes after a violation or an upgrade offer.
    pub fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() {
            let taken = self.take(&bytes[passed..]);
            if taken == 0 {
                break;
            }
            passed += taken;
        }
        passed
    }

    /// Whether reading has to wait until it is known if the connection is upgraded.
    pub fn waits_for_upgrade(&mut self) -> bool {
        if !matches!(self.place, Place::Head) {
            return false;
        }
        match self.shared.upgrade.get() {
            Upgrade::None => false,
            Upgrade::Offered { .. } => true,
            Upgrade::Accepted => {
                self.place = Place::Upgraded;
                false
            }
        }
    }

    /// Whether `added` at the end of an unfinished head can change what is known of it.
    pub fn is_worth_checking(&self, held: usize, added: &[u8]) -> bool {
        let before = held - added.len();
        let crosses = |limit: usize| before <= limit && held > limit;
        memchr(b'\n', added).is_some() || held >= self.limits.head || crosses(self.limits.target)
    }

    /// Refuses the head that is arriving; hyper gets a request in its place which the service answers.
    pub fn refuse(&mut self, violation: Violation) {
        self.shared.refuse(violation);
        self.place = Place::Refused;
    }

    /// Takes bytes of one message part; zero when nothing can pass for now.
    fn take(&mut self, bytes: &[u8]) -> usize {
        match &mut self.place {
            Place::Head => self.take_head(bytes),
            Place::Body(left) => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                if *left == 0 {
                    self.place = Place::Head;
                }
                taken
            }
            Place::Chunked(_) => self.take_chunked(bytes),
            Place::Upgraded => bytes.len(),
            Place::Refused | Place::Broken(_) => 0,
        }
    }

    fn take_head(&mut self, bytes: &[u8]) -> usize {
        if self.waits_for_upgrade() {
            return 0;
        }
        if matches!(self.place, Place::Upgraded) {
            return bytes.len();
        }
        match head::check(bytes, &self.limits) {
            Ok(None) => 0,
            Ok(Some(head)) => self.pass(&head),
            Err(violation) => {
                self.refuse(violation);
                0
            }
        }
    }

    fn pass(&mut self, head: &Head) -> usize {
        self.shared.pass(head.may_upgrade);
        self.place = match head.body {
            Body::Length(0) => Place::Head,
            Body::Length(length) => Place::Body(length),
            Body::Chunked => Place::Chunked(Chunked::new()),
        };
        head.length
    }

    fn take_chunked(&mut self, bytes: &[u8]) -> usize {
        let Place::Chunked(chunked) = &mut self.place else { return 0 };
        match chunked.advance(bytes) {
            Ok(taken) => {
                if chunked.is_done() {
                    self.place = Place::Head;
                }
                taken
            }
            Err((taken, violation)) => {
                self.shared.broken.set(Some(violation));
                self.place = Place::Broken(violation);
                taken
            }
        }
    }
}
