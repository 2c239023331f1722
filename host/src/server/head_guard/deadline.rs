//! One timer for a connection's whole life. Moving a deadline back costs nothing: the timer fires early and is set again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is set when first needed and touched only when it fires or a deadline comes nearer.
#[derive(Debug, Default)]
pub struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
}

impl Deadline {
    /// Ready once `due` has passed; otherwise the task is woken by then, or before.
    pub fn poll(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        } else if is_set(sleep, self.waker.as_ref(), cx) {
            return Poll::Pending;
        }
        self.waker = Some(cx.waker().clone());
        while sleep.as_mut().poll(cx).is_ready() {
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }

    /// Has the task woken within `every`, for want of a deadline.
    pub fn keep_ticking(&mut self, cx: &mut Context<'_>, every: Duration) {
        if let Some(sleep) = &self.sleep
            && is_set(sleep, self.waker.as_ref(), cx)
        {
            return;
        }
        // A due time that is still to come is never ready, so there is no answer to look at.
        let _ = self.poll(cx, Instant::now() + every);
    }
}

/// Whether the timer will wake this very task.
fn is_set(sleep: &Sleep, waker: Option<&Waker>, cx: &Context<'_>) -> bool {
    !sleep.is_elapsed() && waker.is_some_and(|waker| waker.will_wake(cx.waker()))
}
