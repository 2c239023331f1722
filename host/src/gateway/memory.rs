//! What a configuration took for a short time goes back to the system, and away from the workers.

use std::sync::Arc;
use std::time::Duration;

use crate::snapshot::Snapshot;

/// How often a replaced snapshot is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Gives memory that this thread has freed back to the system. Takes milliseconds: never on a worker.
///
/// The allocator keeps what is freed for the next one who asks, which after a large configuration is nobody.
pub fn give_back() {
    // SAFETY: the call takes a flag and works on the calling thread's own heap, whichever allocator the process uses.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

/// Holds a replaced snapshot until nobody else does, so that its end is not on a worker: freeing ten thousand routes
/// would keep the requests there waiting.
pub async fn retire(snapshot: Arc<Snapshot>) {
    end(snapshot).await;
    let _ = tokio::task::spawn_blocking(give_back).await;
}

/// The same for one that shares nearly all it has with the one after it: there is little to give back.
pub async fn end(snapshot: Arc<Snapshot>) {
    while Arc::strong_count(&snapshot) > 1 {
        tokio::time::sleep(LOOK).await;
    }
    let _ = tokio::task::spawn_blocking(move || drop(snapshot)).await;
}
