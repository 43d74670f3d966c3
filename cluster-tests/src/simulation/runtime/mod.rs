//! The runtime that the simulated cluster runs on: openraft's traits over [`executor`].
//!
//! openraft-rt-sim has one clock for all and no way to stop or kill a part of the tasks; here every task belongs to a
//! process, every process has its machine's clock, and a crash drops what the process was at.

mod clock;
pub mod executor;

pub use clock::{MachineClock, SimInstant};
pub use executor::{Pid, WORLD, current};

use larder::clock::Clocks;
use openraft::{AsyncRuntime, OptionalSend};
use openraft_rt_sim::SimRuntime;
use rand::rngs::SmallRng;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// The runtime.
#[derive(Debug)]
pub struct Sim;

/// The clocks of whichever process asks.
pub fn clocks() -> Clocks {
    Clocks { tick, boot_ns }
}

/// The wall clock of whichever process asks.
pub fn wall_ms() -> u64 {
    current().clock(MachineClock::wall_ms)
}

/// The same in ticks, to the millisecond.
pub fn tick() -> u64 {
    larder::clock::tick_of(wall_ms())
}

/// Boot time of whichever process asks.
pub fn boot_ns() -> u64 {
    current().clock(MachineClock::boot_ns)
}

/// Runs a future by itself, in the same process.
#[track_caller]
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    let executor = current();
    executor.spawn_on(executor.process(), Box::pin(future));
}

/// Runs a future by itself in another process.
#[track_caller]
pub fn spawn_on(pid: Pid, future: impl Future<Output = ()> + Send + 'static) {
    current().spawn_on(pid, Box::pin(future));
}

/// Waits, by the clock of the process.
pub fn sleep(time: Duration) -> Sleep {
    Sim::sleep(time)
}

/// Milliseconds, to be slept.
pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A timer of the current process's machine.
#[derive(Debug)]
pub struct Sleep {
    deadline: SimInstant,
    number: u64,
    /// True time for which it is set.
    set_for_ns: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let executor = current();
        if executor.monotonic_ns() >= self.deadline.0 {
            return Poll::Ready(());
        }
        // Rounded up, so that it does not fire a hair too early, again and again.
        let at = executor.clock(|clock, now_ns| clock.true_ns_at(self.deadline.0, now_ns)) + 1;
        if let Some(before) = self.set_for_ns.replace(at)
            && before != at
        {
            executor.cancel_timer(before, self.number);
        }
        executor.set_timer(at, self.number, context.waker());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(at) = self.set_for_ns {
            current().cancel_timer(at, self.number);
        }
    }
}

/// The time was over first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time is over")
    }
}

/// A future with a deadline. One that is ready at the deadline wins.
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut self.sleep).poll(context).map(|()| Err(Elapsed))
    }
}

/// A task's result.
pub struct Handle<T>(oneshot::Receiver<T>);

/// The task was dropped before it had a result.
#[derive(Debug)]
pub struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was dropped")
    }
}

impl<T> Future for Handle<T> {
    type Output = Result<T, Dropped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(|_| Dropped)
    }
}

impl AsyncRuntime for Sim {
    type JoinError = Dropped;
    type JoinHandle<T: OptionalSend + 'static> = Handle<T>;
    type Sleep = Sleep;
    type Instant = SimInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = SmallRng;
    // They need no runtime and wake in the order of waiting; so does the watch of openraft-rt-sim.
    type Mpsc = <SimRuntime as AsyncRuntime>::Mpsc;
    type Watch = <SimRuntime as AsyncRuntime>::Watch;
    type Oneshot = <SimRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <SimRuntime as AsyncRuntime>::Mutex<T>;

    #[track_caller]
    fn spawn<T>(future: T) -> Handle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        let (done, result) = oneshot::channel();
        spawn(async move {
            let _ = done.send(future.await);
        });
        Handle(result)
    }

    fn sleep(duration: Duration) -> Sleep {
        Self::sleep_until(<SimInstant as openraft::Instant>::now() + duration)
    }

    fn sleep_until(deadline: SimInstant) -> Sleep {
        Sleep { deadline, number: current().next_timer(), set_for_ns: None }
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: Self::sleep(duration) }
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: SimInstant, future: F) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: Self::sleep_until(deadline) }
    }

    fn is_panic(_: &Dropped) -> bool {
        false
    }

    fn thread_rng() -> SmallRng {
        current().rng()
    }

    fn new(_threads: usize) -> Self {
        Self
    }

    fn block_on<F, T>(&mut self, _future: F) -> T
    where
        F: Future<Output = T>,
    {
        unreachable!("a run is started by `executor::block_on`, with its seed")
    }

    fn spawn_blocking<F, T>(_: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        std::future::ready(Err(io::Error::new(io::ErrorKind::Unsupported, "nothing blocks in a simulation")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

    #[test]
    fn a_paused_process_sees_time_pass_and_a_killed_one_is_gone() {
        let ((), _) = executor::block_on(1, async {
            let log: Arc<Mutex<Vec<(&str, u64)>>> = Arc::default();
            let pid = current().new_process(MachineClock::default());
            let doomed = current().new_process(MachineClock::default());
            for (name, pid) in [("paused", pid), ("doomed", doomed)] {
                let log = Arc::clone(&log);
                spawn_on(pid, async move {
                    loop {
                        sleep(ms(10)).await;
                        log.lock().push((name, current().now_ns() / 1_000_000));
                    }
                });
            }
            sleep(ms(15)).await;
            current().pause(pid);
            current().kill(doomed);
            sleep(ms(100)).await;
            assert_eq!(log.lock().len(), 2);
            current().resume(pid);
            sleep(ms(11)).await;
            assert_eq!(log.lock()[2..], [("paused", 115), ("paused", 125)]);
        });
    }

    #[test]
    fn a_suspended_machine_sleeps_longer() {
        executor::block_on(1, async {
            let pid = current().new_process(MachineClock::default());
            let (done, woke) = oneshot::channel();
            spawn_on(pid, async move {
                sleep(ms(50)).await;
                let _ = done.send(current().now_ns() / 1_000_000);
            });
            sleep(ms(20)).await;
            current().pause(pid);
            current().set_clock(pid, MachineClock::suspend);
            sleep(ms(1000)).await;
            current().set_clock(pid, MachineClock::resume);
            current().resume(pid);
            assert_eq!(woke.await, Ok(1050));
        });
    }
}
