//! The thread that makes instances ahead of time and takes used ones apart, so that neither happens on a
//! request's path.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_queue::SegQueue;
use tokio::sync::OwnedSemaphorePermit;

use super::instance::Instance;
use super::usage::Usage;

/// How long the thread rests between two looks while there is work now and then.
const NAP: Duration = Duration::from_micros(250);
/// Naps without work after which it sleeps.
const NAPS: u32 = 200;

/// A handle to the thread. The thread ends when the last handle is gone.
#[derive(Clone)]
pub struct Maker(Arc<Queues>);

#[derive(Default)]
struct Queues {
    wanted: SegQueue<Arc<Usage>>,
    used: SegQueue<Box<Instance>>,
    asleep: AtomicBool,
    thread: std::sync::OnceLock<Thread>,
}

impl Maker {
    /// Starts the thread.
    pub fn start() -> Self {
        let queues = Arc::new(Queues::default());
        let weak = Arc::downgrade(&queues);
        let thread = std::thread::Builder::new()
            .name("gatehouse-make".into())
            .stack_size(4 << 20)
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime with a timer only");
                let mut idle = NAPS;
                while let Some(queues) = weak.upgrade() {
                    if queues.is_empty() {
                        queues.rest(&mut idle);
                    } else if runtime.block_on(queues.work()) {
                        idle = 0;
                    }
                }
            })
            .expect("a process that cannot start one thread cannot serve");
        let _ = queues.thread.set(thread.thread().clone());
        Self(queues)
    }

    /// Asks for the usage's ready instances to be filled up. Cheap when that is under way already.
    pub fn refill(&self, usage: &Arc<Usage>) {
        if !usage.refilling.swap(true, Ordering::AcqRel) {
            self.0.wanted.push(Arc::clone(usage));
            self.0.wake();
        }
    }

    /// Takes a used instance apart, later.
    pub fn retire(&self, instance: Box<Instance>) {
        self.0.used.push(instance);
        self.0.wake();
    }
}

impl Queues {
    /// Does what there is to do; says whether instances were made.
    async fn work(&self) -> bool {
        let mut made = false;
        loop {
            let Some(usage) = self.wanted.pop() else {
                // One at a time: a usage that runs dry meanwhile comes first.
                match self.used.pop() {
                    Some(instance) => drop(instance),
                    None => return made,
                }
                continue;
            };
            made = true;
            usage.refilling.store(false, Ordering::Release);
            self.fill(&usage).await;
        }
    }

    async fn fill(&self, usage: &Arc<Usage>) {
        while usage.ready.len() < usage.depth() {
            let Some(permit) = self.permit(usage) else { return };
            match Instance::make(usage, permit).await {
                Ok((instance, _)) => drop(usage.ready.push(Box::new(instance))),
                Err(fault) => {
                    tracing::warn!(plugin = %usage.plugin.name, version = %usage.plugin.version, %fault, "instance not made");
                    return;
                }
            }
        }
    }

    /// A place for one more instance. Used ones that wait to be taken apart hold theirs until they are.
    fn permit(&self, usage: &Usage) -> Option<OwnedSemaphorePermit> {
        loop {
            match Arc::clone(&usage.permits).try_acquire_owned() {
                Ok(permit) => return Some(permit),
                Err(_) => drop(self.used.pop()?),
            }
        }
    }

    /// Only a thread that sleeps for long is woken: waking costs a system call on a request's path, and one that
    /// naps sees the work in time, since a usage keeps as many instances ready as a nap has used up before.
    fn wake(&self) {
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            if let Some(thread) = self.thread.get() {
                thread.unpark();
            }
        }
    }

    /// Naps while instances were made lately, and sleeps when none were for a while. Taking apart is no reason to nap:
    /// it is in no hurry, and reused instances come to it all the time.
    fn rest(&self, idle: &mut u32) {
        *idle = idle.saturating_add(1);
        if *idle < NAPS {
            std::thread::sleep(NAP);
            return;
        }
        self.asleep.store(true, Ordering::SeqCst);
        if self.is_empty() {
            // The time-out lets the thread see that its last handle is gone.
            std::thread::park_timeout(Duration::from_millis(250));
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.used.is_empty()
    }
}
