//! What looking after those who wait takes of the process around: a simulated node has its own.

use crate::clock::Clocks;
use futures::future::BoxFuture;
use std::time::Duration;

/// Clocks, timers and tasks.
#[derive(Clone, Copy)]
pub struct Surroundings {
    /// The clocks.
    pub clocks: Clocks,
    /// Waits.
    pub sleep: fn(Duration) -> BoxFuture<'static, ()>,
    /// Runs a task by itself.
    pub spawn: fn(BoxFuture<'static, ()>),
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clocks: Clocks::default(),
            sleep: |time| Box::pin(tokio::time::sleep(time)),
            spawn: |task| drop(tokio::spawn(task)),
        }
    }
}
