//! Tokio, with ticks that come together and a cheaper watch channel.
//!
//! openraft gives each group a ticker of its own (every `heartbeat_interval` x 13/64, at a random phase). With a dozen
//! groups a node would wake up six hundred times a second and do nothing, which costs more than all else that an idle
//! node does. Here deadlines are rounded up to a beat that all groups of the process share: one wake-up a core serves all
//! ticks that are due, the heartbeats of all groups to a peer leave in one message, and its answers come back in one.

use super::watch::FlagWatch;
use crate::clock;
use futures::future::BoxFuture;
use openraft::AsyncRuntime;
use openraft::OptionalSend;
use openraft::async_runtime::Instant as _;
use openraft::impls::TokioRuntime;
use std::future::Future;
use std::time::Duration;

/// Between ticks: half a heartbeat. Elections are timed to this resolution; what keeps two nodes from standing at the
/// same instant, beside the random part of the timeout, is that each process has a phase of its own.
const TICK_PERIOD: Duration = Duration::from_millis(50);

/// openraft's tokio runtime, but that `sleep_until`, with which it times its ticks and nothing else, wakes up on a beat.
#[derive(Debug)]
pub struct BeatRuntime(TokioRuntime);

impl AsyncRuntime for BeatRuntime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = FlagWatch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        // Boxed, so that the program has one kind of task for openraft's dozens of futures.
        TokioRuntime::spawn(Box::pin(future) as BoxFuture<'static, T::Output>)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        tokio::time::sleep_until(clock::beat_after(deadline - Self::Instant::now(), TICK_PERIOD))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        TokioRuntime::thread_rng()
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}
