//! A few threads for work that blocks: scanning, compressing, writing files, asking a compiler its name.
//!
//! Work goes there and its result comes back over crossbeam channels; a wake tells the loop. State
//! travels with the work (the closure owns it and returns it), so nothing is shared and nothing
//! locked. A crew thread never waits for the loop. This is the only file that names crossbeam.

use std::io;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::poll::Wake;

type Work<R> = Box<dyn FnOnce() -> R + Send>;

/// `R` is what work results in.
pub struct Crew<R> {
    work: Sender<Work<R>>,
    done: Receiver<R>,
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
        Ok(Crew { work, done })
    }

    pub fn submit(&self, work: impl FnOnce() -> R + Send + 'static) {
        self.work
            .send(Box::new(work))
            .expect("BUG: the crew has left before the loop");
    }

    /// The next result, if there is one.
    pub fn result(&self) -> Option<R> {
        self.done.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::Poller;

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
