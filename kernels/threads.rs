//! Threads that are ready at once.
//!
//! A layer of one picture takes tens of microseconds; to put a thread to sleep and wake it again takes as
//! long. So these threads, the calling one among them, look for the next work for a moment before they
//! sleep. What each of them then takes of the work is the business of the backend.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a thread without work looks for some before it sleeps.
const PATIENCE: Duration = Duration::from_micros(100);

/// The calling thread and others, which end with this value.
pub struct Threads {
    board: Arc<Board>,
    others: Vec<JoinHandle<()>>,
}

/// Where work is announced.
#[derive(Default)]
struct Board {
    /// What each thread is to call with its number, and the thread that waits for the others.
    task: Mutex<Option<(Task, Thread)>>,
    /// Counts the tasks.
    announced: AtomicU64,
    /// Threads that have not finished the task.
    busy: AtomicUsize,
    /// For each thread whether it sleeps.
    asleep: Vec<AtomicBool>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    over: AtomicBool,
}

/// Borrowed work, as if it lived as long as the threads.
#[derive(Clone, Copy)]
struct Task(&'static (dyn Fn(usize) + Sync));

impl Threads {
    /// So many threads, the calling one among them.
    ///
    /// # Errors
    /// When the system refuses to start one.
    pub fn new(count: usize) -> std::io::Result<Self> {
        let asleep = (0..count).map(|_| AtomicBool::new(false)).collect();
        let mut all =
            Self { board: Arc::new(Board { asleep, ..Board::default() }), others: vec![] };
        for i in 1..count {
            let board = all.board.clone();
            let name = format!("likenet-{i}");
            all.others.push(thread::Builder::new().name(name).spawn(move || board.serve(i))?);
        }
        Ok(all)
    }

    /// Calls `f` on every thread with the thread's number, 0 for the calling one, and waits for all of them.
    ///
    /// # Panics
    /// When `f` panics on any thread.
    pub fn together(&mut self, f: &(dyn Fn(usize) + Sync)) {
        // SAFETY: this function returns only when no thread has the task any more.
        let task = Task(unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(f)
        });
        let board = &*self.board;
        board.busy.store(self.others.len(), Ordering::Relaxed);
        *lock(&board.task) = Some((task, thread::current()));
        board.announced.fetch_add(1, Ordering::SeqCst);
        for (other, asleep) in self.others.iter().zip(&board.asleep[1..]) {
            if asleep.load(Ordering::SeqCst) {
                other.thread().unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(|| f(0)));
        board.wait(0, || board.busy.load(Ordering::SeqCst) == 0);
        let panic = lock(&board.panic).take();
        if let Some(panic) = own.err().or(panic) {
            resume_unwind(panic);
        }
    }
}

impl Board {
    /// The life of a thread.
    fn serve(&self, thread: usize) {
        let mut done = 0;
        loop {
            let news = || self.announced.load(Ordering::SeqCst) != done;
            self.wait(thread, || news() || self.over.load(Ordering::SeqCst));
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            done += 1;
            let (Task(f), caller) = lock(&self.task).clone().expect("a task was announced");
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| f(thread))) {
                *lock(&self.panic) = Some(panic);
            }
            if self.busy.fetch_sub(1, Ordering::SeqCst) == 1
                && self.asleep[0].load(Ordering::SeqCst)
            {
                caller.unpark();
            }
        }
    }

    /// Returns when `come` is true: looks for a while, then sleeps.
    fn wait(&self, thread: usize, come: impl Fn() -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            for _ in 0..32 {
                if come() {
                    return;
                }
                std::hint::spin_loop();
            }
        }
        // Whoever makes it come true looks at `asleep` afterwards: one of both sees the other.
        self.asleep[thread].store(true, Ordering::SeqCst);
        while !come() {
            thread::park();
        }
        self.asleep[thread].store(false, Ordering::SeqCst);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.board.over.store(true, Ordering::SeqCst);
        for other in self.others.drain(..) {
            other.thread().unpark();
            // A thread catches what its work throws; there is nobody to tell about anything else.
            let _ = other.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_is_called_once_each_time() {
        let mut threads = Threads::new(3).expect("threads");
        let calls: [AtomicUsize; 3] = Default::default();
        for round in 1..50 {
            threads.together(&|i| {
                calls[i].fetch_add(1, Ordering::SeqCst);
            });
            assert!(calls.iter().all(|c| c.load(Ordering::SeqCst) == round));
            thread::sleep(PATIENCE * (round as u32 % 3));
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_threads_go_on() {
        let mut threads = Threads::new(3).expect("threads");
        for thread in 0..3 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                threads.together(&|i| assert_ne!(i, thread, "this one fails"));
            }));
            assert!(result.is_err());
        }
        threads.together(&|_| ());
    }
}
