//! Steady load: clients that ask one request after the other, with a pause, and what became of each.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{client::Client, request::get};

/// Clients at work. They stop when this is dropped.
pub struct Load {
    answers: Arc<Mutex<Vec<Answered>>>,
    _clients: JoinSet<()>,
}

#[derive(Clone, Copy)]
struct Answered {
    at: Instant,
    status: u16,
    took: Duration,
}

/// What a stretch of time came to.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Requests that ended in it.
    pub requests: usize,
    /// Of those, that were not answered with 200.
    pub errors: usize,
    /// The time that half of them stayed below.
    pub p50: Duration,
    /// The time that 99 of a hundred stayed below.
    pub p99: Duration,
}

impl Load {
    /// Lets so many clients ask, each with this pause between two requests.
    #[must_use]
    pub fn start(address: SocketAddr, clients: usize, pause: Duration) -> Self {
        let answers: Arc<Mutex<Vec<Answered>>> = Arc::default();
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            tasks.spawn(ask(address, pause, Arc::clone(&answers)));
        }
        Self { answers, _clients: tasks }
    }

    /// Lets it go on for so long and says what that came to.
    pub async fn watch(&self, during: Duration) -> Stretch {
        let from = Instant::now();
        tokio::time::sleep(during).await;
        self.since(from)
    }

    /// What came since then.
    ///
    /// # Panics
    /// When a client panicked.
    #[must_use]
    pub fn since(&self, from: Instant) -> Stretch {
        let answers = self.answers.lock().expect("nobody panics with the list");
        let answers: Vec<Answered> = answers.iter().filter(|answer| answer.at >= from).copied().collect();
        let mut times: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
        times.sort_unstable();
        let percentile = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        Stretch {
            requests: answers.len(),
            errors: answers.iter().filter(|answer| answer.status != 200).count(),
            p50: percentile(50),
            p99: percentile(99),
        }
    }
}

async fn ask(address: SocketAddr, pause: Duration, answers: Arc<Mutex<Vec<Answered>>>) {
    let mut client = Client::connect(address).await;
    loop {
        let began = Instant::now();
        let status = client.ask(&get("/load")).await.status;
        let answer = Answered { at: Instant::now(), status, took: began.elapsed() };
        answers.lock().expect("nobody panics with the list").push(answer);
        tokio::time::sleep(pause).await;
    }
}
