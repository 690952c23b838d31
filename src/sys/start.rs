//! A C `main` for `rch`, so that the hook does not pay for the standard library's own start-up.
//!
//! std's `lang_start` installs a SIGSEGV stack, polls the standard descriptors, ignores SIGPIPE and
//! allocates a thread handle: about a third of a hook's whole life, and none of it is wanted here.
//! SIGPIPE stays at its default too, which is what a command line program should have: a reader
//! that closes the pipe ends us quietly, as it ends the command we stand for.

use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

/// Copies the argument vector that `main` was given.
///
/// # Safety
/// `argv` must point to `argc` C strings, as the C runtime passes them to `main`.
pub unsafe fn args(argc: c_int, argv: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    (0..count)
        .map(|i| {
            // SAFETY: the caller promises `argc` valid C strings that live as long as the process.
            let arg = unsafe { CStr::from_ptr(*argv.add(i)) };
            std::ffi::OsStr::from_bytes(arg.to_bytes()).to_os_string()
        })
        .collect()
}

/// Defines the process's C `main`: `$hook` runs first when there are no arguments, before anything
/// has been allocated; it does not return if it has dealt with the call. `$main` gets the arguments
/// and answers the exit status.
#[macro_export]
macro_rules! c_main {
    ($hook:path, $main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(
            argc: std::ffi::c_int,
            argv: *const *const std::ffi::c_char,
        ) -> std::ffi::c_int {
            // Called `make` by a link, no arguments mean a default target, not a hook document.
            // SAFETY: as below.
            if argc <= 1 && unsafe { $crate::sys::start::is_called(argc, argv, b"rch") } {
                $hook();
            }
            // SAFETY: these are the arguments the C runtime gave to `main`.
            let args = unsafe { $crate::sys::start::args(argc, argv) };
            $main(args)
        }
    };
}

/// Whether the program's own name, without its folder, is `name`; so too when it has none.
///
/// # Safety
/// As for `args`.
pub unsafe fn is_called(argc: c_int, argv: *const *const c_char, name: &[u8]) -> bool {
    if argc < 1 {
        return true;
    }
    // SAFETY: the caller promises at least one valid C string.
    let called = unsafe { CStr::from_ptr(*argv) }.to_bytes();
    called.rsplit(|&b| b == b'/').next() == Some(name)
}

/// Largest hook document; longer ones are not answered.
pub const LONGEST_INPUT: usize = 10 << 20;

/// Room for a hook document: zeroed pages that cost nothing until they are written.
struct Room(std::cell::UnsafeCell<[u8; LONGEST_INPUT + 1]>);

// SAFETY: only `slurp_stdin` touches it, and gives it out once.
unsafe impl Sync for Room {}

static ROOM: Room = Room(std::cell::UnsafeCell::new([0; LONGEST_INPUT + 1]));
static TAKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// All of standard input, without allocating; `None` if it is longer than `LONGEST_INPUT`, or on a
/// second call.
pub fn slurp_stdin() -> Option<&'static [u8]> {
    if TAKEN.swap(true, std::sync::atomic::Ordering::Relaxed) {
        return None;
    }
    // SAFETY: the flag above makes this the only reference there ever is.
    let room: &'static mut [u8; LONGEST_INPUT + 1] = unsafe { &mut *ROOM.0.get() };
    let mut len = 0;
    loop {
        let free = room.get_mut(len..)?;
        match read_stdin(free) {
            0 => return room.get(..len).filter(|all| all.len() <= LONGEST_INPUT),
            n => len = len.saturating_add(n),
        }
    }
}

/// Reads into `buf` from standard input; 0 at end of file, and on any error.
pub fn read_stdin(buf: &mut [u8]) -> usize {
    // SAFETY: the pointer and length are those of a live, writable slice.
    let n = unsafe { libc::read(0, buf.as_mut_ptr().cast(), buf.len()) };
    usize::try_from(n).unwrap_or(0)
}

/// Whether descriptor `fd` is a terminal (an `ioctl`, no allocation).
pub fn isatty(fd: c_int) -> bool {
    // SAFETY: isatty reads nothing of ours.
    unsafe { libc::isatty(fd) == 1 }
}

/// Leaves at once: no destructors, no atexit handlers, no flushing.
pub fn exit_now(status: c_int) -> ! {
    // SAFETY: _exit does not return.
    unsafe { libc::_exit(status) }
}
