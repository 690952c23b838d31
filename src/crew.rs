//! A few threads for work that blocks: scanning, compressing, writing files, asking a compiler its name.
//!
//! Work goes there and its result comes back over crossbeam channels; a wake tells the loop. State
//! travels with the work (the closure owns it and returns it), so nothing is shared and nothing
//! locked. A crew thread never waits for the loop. This is the only file that names crossbeam.

use std::cell::Cell;
use std::io;
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::poll::Wake;

type Work<R> = Box<dyn FnOnce() -> R + Send>;

/// `R` is what work results in.
pub struct Crew<R> {
    work: Sender<Work<R>>,
    done: Receiver<R>,
    /// Submitted, and its result not taken yet.
    pending: Cell<usize>,
}

impl<R: Send + 'static> Crew<R> {
    /// # Errors
    /// A thread cannot be started.
    pub fn new(threads: usize, wake: &Wake) -> io::Result<Crew<R>> {
        // Unbounded, because the loop must not wait; each job has one piece of work there at a time.
        let (work, inbox) = unbounded::<Work<R>>();
        let (results, done) = unbounded();
        for n in 0..threads.max(1) {
            let (inbox, results, wake) = (inbox.clone(), results.clone(), wake.clone());
            thread::Builder::new()
                .name(format!("crew{n}"))
                .stack_size(512 << 10)
                .spawn(move || {
                    while let Ok(work) = inbox.recv() {
                        if results.send(work()).is_err() {
                            return;
                        }
                        wake.wake();
                    }
                })?;
        }
        Ok(Crew {
            work,
            done,
            pending: Cell::new(0),
        })
    }

    pub fn submit(&self, work: impl FnOnce() -> R + Send + 'static) {
        self.work
            .send(Box::new(work))
            .expect("BUG: the crew has left before the loop");
        self.pending.set(self.pending.get() + 1);
    }

    /// The next result, if there is one.
    pub fn result(&self) -> Option<R> {
        let result = self.done.try_recv().ok()?;
        self.pending.set(self.pending.get() - 1);
        Some(result)
    }

    /// Waits for what was submitted, for a loop that is over: files that are half written would be lost
    /// with it. What is not through by then is left alone.
    pub fn finish(&self, until: Instant) {
        while self.pending.get() > 0 && self.done.recv_deadline(until).is_ok() {
            self.pending.set(self.pending.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::poll::Poller;

    #[test]
    fn the_end_waits_for_what_was_submitted_and_not_for_ever() {
        let poller = Poller::<()>::new().unwrap();
        let crew = Crew::new(2, &poller.waker()).unwrap();
        let (write, written) = unbounded();
        for n in 0..10 {
            let write = write.clone();
            crew.submit(move || write.send(n).unwrap());
        }
        let long = Instant::now() + Duration::from_secs(60);
        crew.finish(long);
        assert_eq!(written.len(), 10);
        let (go, wait) = unbounded::<()>();
        crew.submit(move || assert!(wait.recv().is_err()));
        crew.finish(Instant::now());
        drop(go);
        crew.finish(long);
        assert_eq!(crew.pending.get(), 0);
    }

    #[test]
    fn results_come_back_and_wake_the_loop() {
        let mut poller = Poller::<()>::new().unwrap();
        let crew = Crew::new(2, &poller.waker()).unwrap();
        for n in 0..10 {
            crew.submit(move || n * n);
        }
        let mut got = vec![];
        while got.len() < 10 {
            poller.wait(None, |(), _| {}).unwrap();
            got.extend(std::iter::from_fn(|| crew.result()));
        }
        got.sort_unstable();
        assert_eq!(got, (0..10).map(|n| n * n).collect::<Vec<_>>());
    }
}
