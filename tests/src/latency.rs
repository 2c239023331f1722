//! How long requests take while something else goes on.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{client::Client, request::Request};

/// Times of requests, in order of length.
#[derive(Debug)]
pub struct Latencies {
    sorted: Vec<Duration>,
}

impl Latencies {
    /// Sends one request after the other on one connection, for so long, and expects 200 each time.
    ///
    /// # Panics
    /// When another answer comes.
    pub async fn measure(address: SocketAddr, request: &Request, during: Duration) -> Self {
        let mut client = Client::connect(address).await;
        let (mut sorted, end) = (Vec::new(), Instant::now() + during);
        while Instant::now() < end {
            let start = Instant::now();
            let response = client.ask(request).await;
            sorted.push(start.elapsed());
            assert_eq!(response.status, 200, "others are served meanwhile: {}{}", response.head, response.text());
        }
        sorted.sort_unstable();
        Self { sorted }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The time that so many per cent of the requests stay below.
    ///
    /// # Panics
    /// When nothing was measured.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        assert!(!self.sorted.is_empty(), "something was measured");
        self.sorted[(self.sorted.len() * percent / 100).min(self.sorted.len() - 1)]
    }
}
