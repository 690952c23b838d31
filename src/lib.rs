//! rch, the remote compilation helper: runs the compile and test commands of coding agents on other
//! machines, so exactly that the agent cannot tell.
//!
//! # The map
//!
//! Three programs share this library: `rch` (hook and command line), `rchd` (the workstation's
//! daemon), `rch-wkr` (the worker's side, in `worker/`). Imports point down only; `tests/house.rs`
//! holds that.
//!
//! | floor | what lives there |
//! |---|---|
//! | 0 ground | [`sys`] (the only unsafe code), [`error`], [`bytes`], [`ids`], [`time`], [`temp`], [`log`], [`nearest`] |
//! | 1 nouns | [`wire`] (both protocols), [`paths`], [`config`], [`shell`] (lexer), [`classify`] (which commands go), [`roots`] (which directories), [`exclude`], [`manifest`], [`elf`] |
//! | 2 judgement | [`job`] (stages), [`fleet`] (slots, circuit breaker), [`sched`] (choice, queue), [`dedup`] (which jobs are one), [`plan`] (ssh, rsync, environment), [`history`] (what was measured), [`products`] (what comes home) |
//! | 3 hands | [`poll`] (mio), [`conn`], [`child`], [`session`], [`master`], [`crew`], [`spool`], [`lanebook`], [`scan`], [`feed`], [`landing`], [`toolchain`], [`client`] |
//! | 4 programs | [`hook`], [`cli`], [`daemon`] |
//! | `worker/` | `rch-wkr`; uses floors 0 and 1 only |
//!
//! # The life of a job
//!
//! The agent types `cargo build`. The hook ([`hook`]) inserts `rch exec -- ` in front and is gone. The
//! agent's shell starts `rch exec` ([`cli::exec`]), which connects to the daemon ([`client`]) and
//! sends argv, directory and environment. The daemon's crew finds out what the command needs
//! (`daemon::survey`): [`roots`], a [`scan`] into a [`manifest`], the compiler's identity
//! ([`toolchain`]). An identical job in flight is joined ([`dedup`]); else [`sched`] chooses a worker, slots are
//! reserved ([`fleet`]) and an idle [`session`] is taken. Crates that Cargo.lock names and the
//! worker lacks go first, once for each lock file (`daemon::transfer`). What the lane there holds is in the
//! [`lanebook`]; the difference goes as one run of messages made by [`feed`], with the command behind
//! it, and nobody waits for an answer. The worker applies it, shows the lane at the project's own path in
//! a mount namespace, runs the command. Output comes back into the job's [`spool`], from which every
//! client is served. After the exit the worker lists what was produced, [`products`] chooses, the
//! files are written by [`landing`], and only then does `rch exec` end, with the command's status.
//! Whatever fails on this way ends in one line on stderr and the local command.
//!
//! # Glossary
//!
//! - *worker*: a machine that runs jobs. *slot*: a unit of its capacity; a job leases some.
//! - *session*: one `rch-wkr serve` and its pipes; serves one job at a time. *master*: the ssh
//!   connection that carries up to eight sessions.
//! - *lane*: a project's tree and build products on a worker; one job at a time.
//! - *manifest*: what a tree holds, by `stat`. *base*: the manifest a lane is believed to hold.
//! - *root*: a directory that is synced; the project is the first, its path dependencies follow.
//! - *product*: a file that comes home. *source*: a file that was sent.
//! - *resync*: what follows when a lane does not hold what was believed.
//! - *feed*: the messages that bring a lane up to date. *landing*: the writing of what comes home.
//! - *record*, *spool*: a job's output on disk. *subscriber*: a client that waits for a job.
//! - *attempt*: one try of a job on one worker. *fault*: why a worker could not do its part.
//! - *crew*: threads for what blocks.
//!
//! # Decisions that differ from first thoughts
//!
//! - stdout and stderr that are one pipe at home (`2>&1 | tail`) are one pipe on the worker, so that
//!   their order is the local one; two pipes would lose it.
//! - A job's record holds the very frames that clients read. A slow client is a file offset.
//! - The lanebook keeps manifests on disk and only their ids in memory: a restart of the daemon costs
//!   no repair, and the daemon's memory does not grow with projects.
//! - A lane in doubt says what it holds, by content, and only what differs is sent. rsync would do it
//!   without hashes of ours, but would date anew what it need not touch, and is not always there.
//! - A scan keeps a page for each directory, in the order of names: the pages put behind one another are
//!   the sorted manifest. Sorting by whole paths, and three allocations an entry, were half of it.
//! - A large product comes home as a patch of its predecessor, piece by piece, so that memory does not
//!   grow with it. The worker keeps the predecessor as a hard link; a piece that only moved is not
//!   compressed, and both ends hash each byte once.
//! - Descriptors are registered once, edge-triggered, for both directions; there is no interest to
//!   forget. Readiness is remembered by whoever owns the descriptor.
//! - rsync fills new lanes alone. A large difference to a known lane rides the channel: it is one run of
//!   compressed messages without a scan on the other side, and sets the times that are wanted. Two
//!   thousand files of forty megabytes took 0.6 of rsync's time on an idle disk, 1.2 on a busy one.
//! - A project has a lane for each set of roots, because `make` here and `cargo build` there need other
//!   ones. A new lane starts as a copy of an idle one with other roots; an idle one with the same is taken
//!   rather than copied, and one in use cannot be copied while a compiler writes in it. Lanes of another
//!   path are no help: what was built there names that path.
//! - A lane is believed only when its daemon has said so after the job: what the command made and the
//!   daemon could not write down, because it was killed, would be believed by both.
//! - Nothing is synced while anybody waits: a lane that has stood for half a minute is, by an idle session.
//!   After a restart of the machine its products are believed; those of a lane written to later are not.
//! - The user's CARGO_HOME appears on the worker as a directory in memory: the worker's own caches, with
//!   the user's configuration in place of the worker's. The toolchain that is the same compiler appears at
//!   its path and under its name at home: cargo prints both, and build scripts get them.
//! - The daemon reaps children by pid, never `waitpid(-1)`: crew threads have children too.
//! - The hook asks the processor nothing: `cpuid`, which vector searches begin with, traps in a virtual
//!   machine. Six of them cost a fifth of the C floor; without them the hook is at 1.2 instead of 1.5.
//! - `rch` allocates from a room of its own first: the C library's allocator made twenty of the hook's
//!   sixty system calls for a few kilobytes; without them it is at 2.4 floors instead of 2.9.
//! - The static programs bring a stack unwinder of their own that finds nothing ([`sys`]): they abort on a
//!   panic and have no tables to walk. The real one, with what reads debug information for it, was a
//!   fifth of them.
//! - `cargo run` on a worker is cargo's own, with us as its runner (`target.….runner`), which starts
//!   nothing and tells: which program it is and what is set for it only cargo knows exactly.
//! - bun's packages are installed by a worker only where the workstation has what `bun.lock` says: the
//!   local command goes by `node_modules`, not by the lockfile. All else is sent like sources.
//! - A process that runs a command locally holds its local slot by a pidfd, which survives its exec;
//!   an inherited descriptor would be held by every grandchild.
//!
//! Rejected: one ssh per step (18 round trips against 3); an async runtime (one thread and a poll do);
//! inbound rsync (a semi-trusted worker would be the server of our client); hashing file contents in
//! the hot path (inode, size, mtime and ctime with the racy rule of git's index tell as much).

#[macro_use]
pub mod log;
pub mod bytes;
pub mod child;
pub mod classify;
pub mod cli;
pub mod client;
pub mod config;
pub mod conn;
pub mod crew;
pub mod daemon;
pub mod dedup;
pub mod elf;
pub mod error;
pub mod exclude;
pub mod exit;
pub mod feed;
pub mod fleet;
pub mod history;
pub mod hook;
pub mod ids;
pub mod job;
pub mod landing;
pub mod lanebook;
pub mod manifest;
pub mod master;
pub mod nearest;
pub mod paths;
pub mod plan;
pub mod poll;
pub mod products;
pub mod roots;
pub mod scan;
pub mod sched;
#[cfg(test)]
pub mod scratch;
pub mod session;
pub mod shell;
pub mod spool;
pub mod sys;
pub mod temp;
pub mod time;
pub mod toolchain;
pub mod wire;
