//! One thread, virtual time, and all order from a seed.
//!
//! Tasks belong to processes. A process may be paused (its tasks are not polled) and killed (its tasks are dropped where
//! they stand: that is what a crash is). Which task is next among those that can run is drawn by the seed, or first come
//! first served. When none can, time jumps to the next timer.

use super::clock::MachineClock;
use larder::clock::Judgement;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Polls while time stands still that are taken for a loop without an end.
const POLLS_PER_INSTANT_MAX: u32 = 100_000;

/// A process of the simulation. Number 0 is the world outside: clients, faults, the judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub usize);

/// The world outside of all nodes.
pub const WORLD: Pid = Pid(0);

type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type Ready = Arc<Mutex<VecDeque<(usize, u32)>>>;

struct TaskWaker {
    index: usize,
    generation: u32,
    queued: AtomicBool,
    ready: Ready,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().push_back((self.index, self.generation));
        }
    }
}

struct Task {
    /// Taken while it is polled.
    future: Option<TaskFuture>,
    process: Pid,
    /// Where it was started.
    origin: &'static Location<'static>,
    waker: Arc<TaskWaker>,
}

#[derive(Default)]
struct Process {
    clock: MachineClock,
    /// How many times it was paused and not resumed.
    pauses: u32,
    dead: bool,
    /// Tasks that were woken while it was paused.
    parked: Vec<(usize, u32)>,
}

/// The executor of one run.
pub struct Executor {
    now_ns: Cell<u64>,
    current: Cell<Pid>,
    tasks: RefCell<Vec<(u32, Option<Task>)>>,
    free: RefCell<Vec<usize>>,
    ready: Ready,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    timer_count: Cell<u64>,
    processes: RefCell<Vec<Process>>,
    rng: RefCell<SmallRng>,
    shuffle: bool,
    polls: Cell<u64>,
    polls_at_instant: Cell<u32>,
    digest: Cell<u64>,
    /// Tasks that seem to run without end, and of which process.
    restless: RefCell<BTreeSet<(Pid, String)>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Executor>>> = const { RefCell::new(None) };
}

/// The executor of this thread's run.
///
/// # Panics
/// Outside of a run.
pub fn current() -> Rc<Executor> {
    CURRENT.with(|current| current.borrow().clone()).expect("inside of a simulation")
}

/// Whether this thread is in a run.
pub fn is_running() -> bool {
    CURRENT.try_with(|current| current.try_borrow().is_ok_and(|current| current.is_some())).unwrap_or(false)
}

/// Installs an executor for as long as it lives, panics included.
struct Installed;

impl Installed {
    fn new(executor: &Rc<Executor>) -> Self {
        CURRENT.with(|current| *current.borrow_mut() = Some(Rc::clone(executor)));
        Self
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        // What the tasks own may still ask for the time while it is dropped.
        let executor = current();
        executor.drop_tasks(|_| true);
        executor.timers.borrow_mut().clear();
        CURRENT.with(|current| current.borrow_mut().take());
    }
}

/// Runs `main` in the world outside until it is done; everything else is dropped then. Returns what it gave, and the
/// number of polls.
///
/// # Panics
/// Where nothing can go on any more, or a task does.
pub fn block_on<T: Send + 'static>(seed: u64, main: impl Future<Output = T> + Send + 'static) -> (T, u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let shuffle = rng.random_bool(0.5);
    let executor = Rc::new(Executor {
        now_ns: Cell::new(0),
        current: Cell::new(WORLD),
        tasks: RefCell::default(),
        free: RefCell::default(),
        ready: Ready::default(),
        timers: RefCell::default(),
        timer_count: Cell::new(0),
        processes: RefCell::new(vec![Process::default()]),
        rng: RefCell::new(rng),
        shuffle,
        polls: Cell::new(0),
        polls_at_instant: Cell::new(0),
        digest: Cell::new(0),
        restless: RefCell::default(),
    });
    let _installed = Installed::new(&executor);
    let result: Arc<Mutex<Option<T>>> = Arc::default();
    let out = Arc::clone(&result);
    executor.spawn_on(
        WORLD,
        Box::pin(async move {
            let value = main.await;
            *out.lock() = Some(value);
        }),
    );
    while result.lock().is_none() {
        executor.turn();
    }
    let value = result.lock().take().expect("it was there a line above");
    (value, executor.polls.get())
}

impl Executor {
    /// True time since the run began.
    pub fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    /// The process whose task is polled now.
    pub fn process(&self) -> Pid {
        self.current.get()
    }

    /// A number that equal runs share.
    pub fn digest(&self) -> u64 {
        self.digest.get()
    }

    /// A generator that the seed determines.
    pub fn rng(&self) -> SmallRng {
        SmallRng::seed_from_u64(self.rng.borrow_mut().random())
    }

    /// A draw.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut SmallRng) -> T) -> T {
        draw(&mut self.rng.borrow_mut())
    }

    /// A new process, whose machine has this clock.
    pub fn new_process(&self, clock: MachineClock) -> Pid {
        let mut processes = self.processes.borrow_mut();
        processes.push(Process { clock, ..Process::default() });
        Pid(processes.len() - 1)
    }

    /// The clock of the current process's machine.
    pub fn clock<T>(&self, read: impl FnOnce(&MachineClock, u64) -> T) -> T {
        self.clock_of(self.current.get(), read)
    }

    /// The clock of a process's machine.
    pub fn clock_of<T>(&self, pid: Pid, read: impl FnOnce(&MachineClock, u64) -> T) -> T {
        read(&self.processes.borrow()[pid.0].clock, self.now_ns.get())
    }

    /// Monotonic time of the current process.
    pub fn monotonic_ns(&self) -> u64 {
        self.clock(MachineClock::monotonic_ns)
    }

    /// Changes a process's clock. Timers are set anew where it is another rate.
    pub fn set_clock(&self, pid: Pid, change: impl FnOnce(&mut MachineClock, u64)) {
        change(&mut self.processes.borrow_mut()[pid.0].clock, self.now_ns.get());
        self.wake_all(pid);
    }

    /// What a process thinks of its wall clock from now on.
    pub fn judge_clock(&self, pid: Pid, judgement: Judgement) {
        self.processes.borrow_mut()[pid.0].clock.judgement = judgement;
    }

    /// Stops polling the tasks of a process, until it was resumed as often: its time passes without it.
    pub fn pause(&self, pid: Pid) {
        self.processes.borrow_mut()[pid.0].pauses += 1;
    }

    /// Goes on polling them.
    pub fn resume(&self, pid: Pid) {
        let parked = {
            let mut processes = self.processes.borrow_mut();
            let process = &mut processes[pid.0];
            process.pauses = process.pauses.saturating_sub(1);
            if process.pauses > 0 {
                return;
            }
            std::mem::take(&mut processes[pid.0].parked)
        };
        self.ready.lock().extend(parked);
    }

    /// Whether a process is paused.
    pub fn is_paused(&self, pid: Pid) -> bool {
        self.processes.borrow()[pid.0].pauses > 0
    }

    /// Drops the tasks of a process where they stand, and all that it starts later.
    pub fn kill(&self, pid: Pid) {
        {
            let mut processes = self.processes.borrow_mut();
            processes[pid.0].dead = true;
            processes[pid.0].parked.clear();
        }
        self.drop_tasks(|task| task == pid);
    }

    /// Whether it was killed.
    pub fn is_dead(&self, pid: Pid) -> bool {
        self.processes.borrow()[pid.0].dead
    }

    /// Starts a task of a process.
    #[track_caller]
    pub fn spawn_on(&self, process: Pid, future: TaskFuture) {
        if self.is_dead(process) {
            return;
        }
        let waker = {
            let mut tasks = self.tasks.borrow_mut();
            let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
                tasks.push((0, None));
                tasks.len() - 1
            });
            let (generation, slot) = &mut tasks[index];
            *generation += 1;
            let waker = Arc::new(TaskWaker {
                index,
                generation: *generation,
                queued: AtomicBool::new(false),
                ready: Arc::clone(&self.ready),
            });
            *slot = Some(Task { future: Some(future), process, origin: Location::caller(), waker: Arc::clone(&waker) });
            waker
        };
        waker.wake_by_ref();
    }

    /// A number that orders timers of the same instant.
    pub(super) fn next_timer(&self) -> u64 {
        let number = self.timer_count.get();
        self.timer_count.set(number + 1);
        number
    }

    /// Wakes `waker` at true time `at_ns`.
    pub(super) fn set_timer(&self, at_ns: u64, number: u64, waker: &Waker) {
        self.timers.borrow_mut().insert((at_ns, number), waker.clone());
    }

    /// Takes that back.
    pub(super) fn cancel_timer(&self, at_ns: u64, number: u64) {
        let waker = self.timers.borrow_mut().remove(&(at_ns, number));
        drop(waker);
    }

    fn wake_all(&self, pid: Pid) {
        let wakers: Vec<_> = {
            let tasks = self.tasks.borrow();
            let of = tasks.iter().filter_map(|(_, task)| task.as_ref().filter(|task| task.process == pid));
            of.map(|task| Arc::clone(&task.waker)).collect()
        };
        wakers.iter().for_each(Wake::wake_by_ref);
    }

    fn drop_tasks(&self, which: impl Fn(Pid) -> bool) {
        loop {
            // Dropped with nothing borrowed: drops wake, cancel timers and may even spawn.
            let gone: Vec<(Pid, Option<TaskFuture>)> = {
                let mut tasks = self.tasks.borrow_mut();
                let mut free = self.free.borrow_mut();
                let mut gone = Vec::new();
                for (index, (_, slot)) in tasks.iter_mut().enumerate() {
                    if let Some(task) = slot.take_if(|task| which(task.process)) {
                        gone.push((task.process, task.future));
                        free.push(index);
                    }
                }
                gone
            };
            if gone.is_empty() {
                return;
            }
            let before = self.current.get();
            for (pid, future) in gone {
                self.current.set(pid);
                drop(future);
            }
            self.current.set(before);
        }
    }

    fn next(&self) -> Option<(usize, u32)> {
        let mut ready = self.ready.lock();
        if self.shuffle && ready.len() > 1 {
            let at = self.rng.borrow_mut().random_range(0..ready.len());
            return ready.swap_remove_back(at);
        }
        ready.pop_front()
    }

    /// Polls one task, or moves time on.
    fn turn(&self) {
        let Some((index, generation)) = self.next() else { return self.advance() };
        let (mut future, waker, origin) = {
            let mut tasks = self.tasks.borrow_mut();
            let (known, Some(task)) = &mut tasks[index] else { return };
            if *known != generation {
                return;
            }
            let mut processes = self.processes.borrow_mut();
            let process = &mut processes[task.process.0];
            if process.pauses > 0 {
                process.parked.push((index, generation));
                return;
            }
            task.waker.queued.store(false, Ordering::Relaxed);
            let Some(future) = task.future.take() else { return };
            self.current.set(task.process);
            (future, Waker::from(Arc::clone(&task.waker)), task.origin)
        };
        self.polls.set(self.polls.get() + 1);
        self.polls_at_instant.set(self.polls_at_instant.get() + 1);
        self.check_progress(origin);
        let step =
            (self.now_ns.get() ^ (index as u64) << 48 ^ u64::from(generation)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.digest.set(self.digest.get().rotate_left(7) ^ step);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        self.current.set(WORLD);
        let mut tasks = self.tasks.borrow_mut();
        let (known, slot) = &mut tasks[index];
        let here = *known == generation;
        match (polled, slot) {
            (Poll::Pending, Some(task)) if here => task.future = Some(future),
            (Poll::Ready(()), slot @ Some(_)) if here => {
                let task = slot.take();
                self.free.borrow_mut().push(index);
                drop(tasks);
                drop((task, future));
            }
            // It was killed by what it did.
            _ => {
                drop(tasks);
                drop(future);
            }
        }
    }

    /// Tasks that run and run while time stands still never end.
    fn check_progress(&self, origin: &'static Location<'static>) {
        let polls = self.polls_at_instant.get();
        if polls + 20 > POLLS_PER_INSTANT_MAX {
            self.restless.borrow_mut().insert((self.current.get(), origin.to_string()));
        }
        assert!(
            polls < POLLS_PER_INSTANT_MAX,
            "tasks run without end at {} ns: {:?}",
            self.now_ns.get(),
            self.restless.borrow()
        );
    }

    fn advance(&self) {
        let due: Vec<Waker> = {
            let mut timers = self.timers.borrow_mut();
            let Some((&(at, _), _)) = timers.first_key_value() else {
                panic!("nothing can go on at {} ns", self.now_ns.get());
            };
            self.now_ns.set(at.max(self.now_ns.get()));
            self.polls_at_instant.set(0);
            let mut due = Vec::new();
            while let Some(entry) = timers.first_entry().filter(|entry| entry.key().0 <= at) {
                due.push(entry.remove());
            }
            due
        };
        due.into_iter().for_each(Waker::wake);
    }
}
