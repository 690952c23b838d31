//! Memory for a life of a millisecond: a little room of the program's own, cut from one end.
//!
//! The C library's allocator asks the kernel a dozen times before it has served a hook that needs a few
//! kilobytes, and gives all of it back piece by piece; that was a quarter of the hook. What the room
//! does not hold comes from the system's allocator as ever, so that a long-lived `rch` loses no more than
//! the room.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

/// Bytes. A hook with settings files of usual size uses a quarter; untouched pages cost nothing.
const SIZE: usize = 64 << 10;

/// Room for allocations, given out from the front; only the last one can grow or be given back.
pub struct Arena {
    room: Room,
    /// How many bytes have been given out.
    used: AtomicUsize,
}

#[repr(align(16))]
struct Room(UnsafeCell<[u8; SIZE]>);

// SAFETY: bytes of the room are reached only through what `alloc` gave out, to one caller each: `used`
// moves by compare-and-swap.
unsafe impl Sync for Arena {}

impl Arena {
    #[expect(clippy::new_without_default, reason = "a static needs a const fn")]
    pub const fn new() -> Arena {
        Arena {
            room: Room(UnsafeCell::new([0; SIZE])),
            used: AtomicUsize::new(0),
        }
    }

    fn base(&self) -> *mut u8 {
        self.room.0.get().cast()
    }

    /// Where in the room `at` points, if it does.
    fn offset(&self, at: *mut u8) -> Option<usize> {
        let offset = (at as usize).checked_sub(self.base() as usize)?;
        (offset < SIZE).then_some(offset)
    }

    /// Moves the end from `from` to `to`, if it is there.
    fn move_end(&self, from: usize, to: usize) -> bool {
        to <= SIZE
            && self
                .used
                .compare_exchange(from, to, AcqRel, Relaxed)
                .is_ok()
    }

    fn cut(&self, layout: Layout) -> Option<*mut u8> {
        // Beyond the room's own alignment, addresses would have to be looked at.
        if layout.align() > align_of::<Room>() {
            return None;
        }
        loop {
            let used = self.used.load(Relaxed);
            let start = used.checked_next_multiple_of(layout.align())?;
            let end = start.checked_add(layout.size())?;
            if end > SIZE {
                return None;
            }
            if self.move_end(used, end) {
                // SAFETY: `start` is at most `SIZE`.
                return Some(unsafe { self.base().add(start) });
            }
        }
    }
}

// SAFETY: what `cut` gives out is aligned, within the room and nobody else's until it is given back;
// everything else is the system's.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's duties are passed on as they are.
        self.cut(layout)
            .unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(at) = self.cut(layout) else {
            // SAFETY: the caller's duties are passed on as they are.
            return unsafe { System.alloc_zeroed(layout) };
        };
        // SAFETY: as many bytes have just been given out; others may have had them before.
        unsafe { at.write_bytes(0, layout.size()) };
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        match self.offset(at) {
            Some(start) => _ = self.move_end(start.saturating_add(layout.size()), start),
            // SAFETY: not from the room, so from the system.
            None => unsafe { System.dealloc(at, layout) },
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = self.offset(at) else {
            // SAFETY: not from the room, so from the system.
            return unsafe { System.realloc(at, layout, size) };
        };
        if self.move_end(
            start.saturating_add(layout.size()),
            start.saturating_add(size),
        ) {
            return at;
        }
        // SAFETY: the caller promises that `size` is not too much for the alignment; both blocks hold
        // at least the bytes that are copied, and a new block never overlaps a live one.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(at, new, layout.size().min(size));
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// Allocates, and fills what it got.
    fn filled(arena: &Arena, size: usize, with: u8) -> *mut u8 {
        // SAFETY: the layout is not empty, and as much is written as was asked for.
        unsafe {
            let at = arena.alloc(layout(size, 8));
            at.write_bytes(with, size);
            at
        }
    }

    fn holds(at: *mut u8, size: usize, byte: u8) -> bool {
        // SAFETY: the tests ask for no more than they filled.
        unsafe { std::slice::from_raw_parts(at, size) }
            .iter()
            .all(|b| *b == byte)
    }

    #[test]
    fn the_last_grows_in_place_and_goes_back() {
        let arena = Box::new(Arena::new());
        let first = filled(&arena, 10, 1);
        let second = filled(&arena, 10, 2);
        // SAFETY: blocks of this arena with their layouts.
        unsafe {
            assert_eq!(arena.realloc(second, layout(10, 8), 100), second);
            assert!(holds(first, 10, 1) && holds(second, 10, 2));
            let moved = arena.realloc(first, layout(10, 8), 100);
            assert!(moved != first && holds(moved, 10, 1) && holds(second, 10, 2));
            arena.dealloc(moved, layout(100, 8));
            assert_eq!(arena.alloc(layout(100, 8)), moved);
            assert_eq!(arena.alloc(layout(1, 16)) as usize % 16, 0);
        }
    }

    #[test]
    fn what_does_not_fit_is_the_systems() {
        let arena = Box::new(Arena::new());
        // SAFETY: blocks of this arena with their layouts.
        unsafe {
            let large = filled(&arena, SIZE + 1, 3);
            assert_eq!(arena.offset(large), None);
            let wide = arena.alloc(layout(64, 64));
            assert_eq!(arena.offset(wide), None);
            let small = filled(&arena, SIZE - 8, 4);
            assert_eq!(arena.offset(small), Some(0));
            let grown = arena.realloc(small, layout(SIZE - 8, 8), SIZE + 8);
            assert!(arena.offset(grown).is_none() && holds(grown, SIZE - 8, 4));
            arena.dealloc(grown, layout(SIZE + 8, 8));
            arena.dealloc(wide, layout(64, 64));
            arena.dealloc(large, layout(SIZE + 1, 8));
        }
    }

    /// Each has what it was given to itself, however many ask at once.
    #[test]
    fn threads_share_it() {
        let arena = Box::new(Arena::new());
        std::thread::scope(|scope| {
            for byte in 1..5 {
                let arena = &arena;
                scope.spawn(move || {
                    let all: Vec<usize> =
                        (0..400).map(|_| filled(arena, 24, byte) as usize).collect();
                    assert!(all.iter().all(|at| holds(*at as *mut u8, 24, byte)));
                });
            }
        });
    }
}
