//! A rate-limit take among 100,000 clients: alone, beside a second thread, and on one bucket that both want. The same for two
//! policies taken together, the client's and one for everybody, and for places.
//! Prints the bytes a client costs first. Aim: under 200 ns a take and under 100 bytes a client.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::atomic::{AtomicIsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use criterion::Criterion;
use gatehouse::limit::{Charge, Clock, Policy, Scope, Table};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static HELD: AtomicIsize = AtomicIsize::new(0);

const CLIENTS: u32 = 100_000;

type Act = fn(&House, &[u8]);

const ACTS: [(&str, Act); 3] = [("take", House::take), ("take_all", House::take_all), ("enter", House::enter_and_leave)];

// The system's allocator, and how many bytes are out.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the system allocator's own.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: the memory came from `alloc` above with this layout, thus from the system's allocator.
        unsafe { System.dealloc(memory, layout) }
    }
}

// A table with every client in it.
struct House {
    table: Table,
    scope: Scope,
    everybody: Scope,
    policy: Policy,
    clock: Clock,
}

impl House {
    fn new() -> Self {
        let table = Table::default();
        let scope = table.scope("orders/rate-limit");
        let everybody = table.scope("orders/everybody");
        let policy = Policy::new(100.0, 200).expect("a policy in range");
        Self { table, scope, everybody, policy, clock: Clock::start() }
    }

    fn fill(&self) {
        (0..CLIENTS).for_each(|number| self.take(&client(number)));
    }

    fn take(&self, client: &[u8]) {
        let decision = self.table.take(&self.scope, client, &self.policy, 1, self.clock.now());
        black_box(decision);
    }

    // From two buckets, of which every client wants the second.
    fn take_all(&self, client: &[u8]) {
        let charge = |scope, client| Charge { scope, client, policy: self.policy, cost: 1 };
        let charges = [charge(&self.scope, client), charge(&self.everybody, b"r")];
        black_box(self.table.take_all(&charges, self.clock.now()));
    }

    fn enter_and_leave(&self, client: &[u8]) {
        black_box(self.table.enter(&self.scope, client, 10));
    }

    // In an order that no cache foresees.
    fn each(&self, seed: u64, count: u64, act: impl Fn(&Self, &[u8])) -> Duration {
        let mut state = seed;
        let begin = Instant::now();
        (0..count).for_each(|_| act(self, &client(next(&mut state) % CLIENTS)));
        begin.elapsed()
    }

    fn hot_takes(&self, count: u64) -> Duration {
        let begin = Instant::now();
        (0..count).for_each(|_| self.take(b"hot"));
        begin.elapsed()
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let house = House::new();
    let before = HELD.load(Relaxed);
    house.fill();
    let bytes = (HELD.load(Relaxed) - before) as f64 / f64::from(CLIENTS);
    println!("rate_limit: {bytes:.1} bytes a client, {} clients", house.table.len());

    for (name, act) in ACTS {
        criterion.bench_function(&format!("rate_limit/{name}_among_100k"), |bencher| {
            bencher.iter_custom(|count| house.each(1, count, act));
        });
        criterion.bench_function(&format!("rate_limit/{name}_among_100k_two_threads"), |bencher| {
            bencher.iter_custom(|count| both(|worker| house.each(worker, count, act)));
        });
    }
    criterion.bench_function("rate_limit/take_one_hot_bucket_two_threads", |bencher| {
        bencher.iter_custom(|count| both(|_| house.hot_takes(count)));
    });
    criterion.final_summary();
}

// A step of Knuth's MMIX generator; its upper half is random enough to jump about by.
fn next(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 32) as u32
}

// A name as long as those of real clients.
fn client(number: u32) -> [u8; 14] {
    let mut name = *b"client-0000000";
    name[10..].copy_from_slice(&number.to_le_bytes());
    name
}

// The slower of two threads that do the same.
fn both(work: impl Fn(u64) -> Duration + Sync) -> Duration {
    thread::scope(|scope| {
        let workers = [0, 1].map(|worker| {
            scope.spawn({
                let work = &work;
                move || work(worker)
            })
        });
        let times = workers.map(|worker| worker.join().expect("a taker does not panic"));
        times[0].max(times[1])
    })
}
