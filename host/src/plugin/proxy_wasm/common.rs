//! What all instances of one plugin share, on all workers and in all versions: data with compare-and-swap, queues, metrics.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use crate::telemetry::metrics::PluginMetrics;

use super::abi::Status;

/// What an entry costs beside its bytes.
const OVERHEAD: usize = 64;
/// Queues, and metrics, of one plugin.
const MAX_QUEUES: usize = 64;
const MAX_METRICS: usize = 1_024;
const MAX_NAME: usize = 256;

/// The commons of all plugins, by name. They live as long as the process, as key-value stores do.
#[derive(Default)]
pub struct Commons(Mutex<HashMap<Arc<str>, Arc<Common>>>);

impl Commons {
    /// A plugin's own, with so many bytes for what it keeps.
    pub fn of(&self, plugin: &Arc<str>, quota: usize, metrics: &PluginMetrics) -> Arc<Common> {
        let mut commons = self.0.lock();
        Arc::clone(commons.entry(Arc::clone(plugin)).or_insert_with(|| Arc::new(Common::new(quota, metrics.clone()))))
    }
}

/// What the instances of one plugin share.
pub struct Common {
    state: Mutex<State>,
    metrics: PluginMetrics,
}

#[derive(Default)]
struct State {
    quota: usize,
    used: usize,
    data: HashMap<Box<[u8]>, (Bytes, u32)>,
    /// The number of the last write, which is never 0.
    writes: u32,
    queues: Vec<Queue>,
    gauges: Vec<Metric>,
}

struct Queue {
    name: Box<[u8]>,
    items: VecDeque<Bytes>,
    /// The instances that want to hear of it, and which of them is the next to.
    listeners: VecDeque<UnboundedSender<u32>>,
}

struct Metric {
    kind: Kind,
    name: String,
    value: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Common {
    pub(super) fn new(quota: usize, metrics: PluginMetrics) -> Self {
        Self { state: Mutex::new(State { quota, ..State::default() }), metrics }
    }

    // === data ===

    /// The value of a key, and the number of the write that it is from.
    pub(super) fn get(&self, key: &[u8]) -> Result<(Bytes, u32), Status> {
        self.state.lock().data.get(key).cloned().ok_or(Status::NotFound)
    }

    /// Sets a key if it is still what it was at the write `expected`, or at any rate where that is 0. No value removes it.
    pub(super) fn set(&self, key: &[u8], value: &[u8], expected: u32) -> Result<(), Status> {
        let state = &mut *self.state.lock();
        let before = state.data.get(key);
        if expected != 0 && before.is_none_or(|(_, written)| *written != expected) {
            return Err(Status::CasMismatch);
        }
        let freed = before.map_or(0, |(value, _)| cost(key.len() + value.len()));
        if value.is_empty() {
            state.used -= freed;
            state.data.remove(key);
            return Ok(());
        }
        state.spend(cost(key.len() + value.len()), freed)?;
        state.writes = state.writes.checked_add(1).unwrap_or(1);
        state.data.insert(key.into(), (Bytes::copy_from_slice(value), state.writes));
        Ok(())
    }

    // === queues ===

    /// The queue of that name, made where there is none. The instance hears of what comes in.
    pub(super) fn register(&self, name: &[u8], listener: UnboundedSender<u32>) -> Result<u32, Status> {
        let mut state = self.state.lock();
        let place = match state.queues.iter().position(|queue| &*queue.name == name) {
            Some(place) => place,
            None if state.queues.len() < MAX_QUEUES && name.len() <= MAX_NAME => {
                state.queues.push(Queue { name: name.into(), items: VecDeque::new(), listeners: VecDeque::new() });
                state.queues.len() - 1
            }
            None => return Err(Status::InternalFailure),
        };
        let listeners = &mut state.queues[place].listeners;
        listeners.retain(|other| !other.is_closed() && !other.same_channel(&listener));
        listeners.push_back(listener);
        Ok(place as u32 + 1)
    }

    pub(super) fn resolve(&self, name: &[u8]) -> Result<u32, Status> {
        let place = self.state.lock().queues.iter().position(|queue| &*queue.name == name);
        place.map(|place| place as u32 + 1).ok_or(Status::NotFound)
    }

    /// Adds to a queue, and tells one of those who listen.
    pub(super) fn enqueue(&self, queue: u32, item: &[u8]) -> Result<(), Status> {
        let state = &mut *self.state.lock();
        state.queue(queue)?;
        state.spend(cost(item.len()), 0)?;
        let found = state.queue(queue)?;
        found.items.push_back(Bytes::copy_from_slice(item));
        for _ in 0..found.listeners.len() {
            let Some(listener) = found.listeners.pop_front() else { break };
            if listener.send(queue).is_ok() {
                found.listeners.push_back(listener);
                break;
            }
        }
        Ok(())
    }

    pub(super) fn dequeue(&self, queue: u32) -> Result<Bytes, Status> {
        let state = &mut *self.state.lock();
        let item = state.queue(queue)?.items.pop_front().ok_or(Status::Empty)?;
        state.used -= cost(item.len());
        Ok(item)
    }

    // === metrics ===

    /// The number of the metric of that name and kind.
    pub(super) fn define_metric(&self, kind: u32, name: &str) -> Result<u32, Status> {
        let kind = match kind {
            0 => Kind::Counter,
            1 => Kind::Gauge,
            2 => Kind::Histogram,
            _ => return Err(Status::BadArgument),
        };
        let mut state = self.state.lock();
        let place = match state.gauges.iter().position(|metric| metric.name == name && metric.kind == kind) {
            Some(place) => place,
            None if state.gauges.len() < MAX_METRICS && name.len() <= MAX_NAME => {
                state.gauges.push(Metric { kind, name: name.to_owned(), value: 0 });
                state.gauges.len() - 1
            }
            None => return Err(Status::InternalFailure),
        };
        Ok(place as u32 + 1)
    }

    /// Adds to a counter or a gauge.
    pub(super) fn increment(&self, metric: u32, by: i64) -> Result<(), Status> {
        let mut state = self.state.lock();
        let metric = state.metric(metric)?;
        match metric.kind {
            Kind::Counter if by < 0 => return Err(Status::BadArgument),
            Kind::Histogram => return Err(Status::BadArgument),
            Kind::Counter | Kind::Gauge => metric.value = metric.value.saturating_add_signed(by),
        }
        match metric.kind {
            Kind::Counter => self.metrics.count(&published(&metric.name), &[], by.unsigned_abs()),
            _ => self.metrics.gauge(&published(&metric.name), &[], metric.value as f64),
        }
        Ok(())
    }

    /// Sets a gauge, adds to a histogram.
    pub(super) fn record(&self, metric: u32, value: u64) -> Result<(), Status> {
        let mut state = self.state.lock();
        let metric = state.metric(metric)?;
        match metric.kind {
            Kind::Counter => return Err(Status::BadArgument),
            Kind::Gauge => self.metrics.gauge(&published(&metric.name), &[], value as f64),
            Kind::Histogram => self.metrics.observe(&published(&metric.name), &[], value as f64),
        }
        metric.value = value;
        Ok(())
    }

    pub(super) fn metric(&self, metric: u32) -> Result<u64, Status> {
        let mut state = self.state.lock();
        match state.metric(metric)? {
            Metric { kind: Kind::Histogram, .. } => Err(Status::BadArgument),
            metric => Ok(metric.value),
        }
    }
}

impl State {
    /// Takes the cost of something new, of which so much is free already.
    fn spend(&mut self, cost: usize, freed: usize) -> Result<(), Status> {
        let used = self.used - freed + cost;
        if used > self.quota {
            return Err(Status::InternalFailure);
        }
        self.used = used;
        Ok(())
    }

    fn queue(&mut self, number: u32) -> Result<&mut Queue, Status> {
        let place = number.checked_sub(1).ok_or(Status::NotFound)? as usize;
        self.queues.get_mut(place).ok_or(Status::NotFound)
    }

    fn metric(&mut self, number: u32) -> Result<&mut Metric, Status> {
        let place = number.checked_sub(1).ok_or(Status::NotFound)? as usize;
        self.gauges.get_mut(place).ok_or(Status::NotFound)
    }
}

fn cost(bytes: usize) -> usize {
    bytes + OVERHEAD
}

/// Names are free in Proxy-Wasm, and letters, digits and underscores where metrics are published.
fn published(name: &str) -> String {
    let first = name.starts_with(|first: char| first.is_ascii_digit()).then_some('_');
    first.into_iter().chain(name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })).collect()
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use crate::telemetry::Metrics;

    use super::*;

    fn common(quota: usize) -> Common {
        Common::new(quota, Metrics::new().plugin_metrics("tested"))
    }

    #[test]
    fn data_is_set_only_from_what_was_read() {
        let common = common(1 << 10);
        assert_eq!(common.get(b"a"), Err(Status::NotFound));
        assert_eq!(common.set(b"a", b"1", 7), Err(Status::CasMismatch), "nothing was written yet");
        common.set(b"a", b"1", 0).expect("at any rate");
        let (value, written) = common.get(b"a").expect("it is there");
        assert_eq!((&*value, written), (&b"1"[..], 1));
        common.set(b"a", b"2", written).expect("it is what was read");
        assert_eq!(common.set(b"a", b"3", written), Err(Status::CasMismatch), "somebody was first");
        common.set(b"a", b"", 0).expect("it is removed");
        assert_eq!(common.get(b"a"), Err(Status::NotFound));
    }

    #[test]
    fn data_and_queues_have_one_quota() {
        let common = common(300);
        common.set(b"a", &[0; 100], 0).expect("165 bytes");
        assert_eq!(common.set(b"b", &[0; 100], 0), Err(Status::InternalFailure), "another 165 are too many");
        let queue = common.register(b"q", unbounded_channel().0).expect("a queue");
        common.enqueue(queue, &[0; 60]).expect("124 bytes");
        assert_eq!(common.enqueue(queue, b""), Err(Status::InternalFailure));
        common.set(b"a", &[0; 100], 0).expect("what is replaced makes room");
        common.set(b"a", b"", 0).expect("removed");
        common.dequeue(queue).expect("taken");
        common.set(b"b", &[0; 200], 0).expect("all of it is free again");
    }

    #[test]
    fn what_comes_into_a_queue_is_told_to_one_of_those_who_listen() {
        let common = common(1 << 10);
        let ((first, mut at_first), (second, mut at_second)) = (unbounded_channel(), unbounded_channel());
        let queue = common.register(b"q", first).expect("a queue");
        assert_eq!(common.register(b"q", second).expect("the same"), queue);
        assert_eq!(common.resolve(b"q"), Ok(queue));
        common.enqueue(queue, b"1").expect("room");
        common.enqueue(queue, b"2").expect("room");
        assert_eq!((at_first.try_recv(), at_second.try_recv()), (Ok(queue), Ok(queue)), "they take turns");
        drop(at_first);
        common.enqueue(queue, b"3").expect("room");
        assert_eq!(at_second.try_recv(), Ok(queue), "the one that is left");
        let items: Vec<Bytes> = std::iter::from_fn(|| common.dequeue(queue).ok()).collect();
        assert_eq!(items, ["1", "2", "3"]);
        assert_eq!((common.dequeue(queue), common.dequeue(9)), (Err(Status::Empty), Err(Status::NotFound)));
    }

    #[test]
    fn metrics_are_numbers_by_name() {
        let common = common(0);
        let counter = common.define_metric(0, "requests.total").expect("a counter");
        assert_eq!(common.define_metric(0, "requests.total"), Ok(counter), "the same again");
        common.increment(counter, 2).expect("up");
        assert_eq!(common.increment(counter, -1), Err(Status::BadArgument), "counters do not go down");
        assert_eq!(common.metric(counter), Ok(2));
        let gauge = common.define_metric(1, "open").expect("a gauge");
        common.record(gauge, 5).and_then(|()| common.increment(gauge, -2)).expect("gauges do");
        assert_eq!(common.metric(gauge), Ok(3));
        assert_eq!(
            (common.metric(0), common.metric(99), common.define_metric(3, "x")),
            (Err(Status::NotFound), Err(Status::NotFound), Err(Status::BadArgument))
        );
    }

    #[test]
    fn names_are_published_in_letters_that_may_be() {
        assert_eq!(published("wasmcustom.x-y 1"), "wasmcustom_x_y_1");
        assert_eq!(published("5xx"), "_5xx");
    }
}
