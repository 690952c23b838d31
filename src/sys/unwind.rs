//! The stack unwinder that the standard library asks for backtraces and landing pads, in programs that
//! have neither.
//!
//! The static programs abort on a panic, and `scripts/static.ld` leaves out the tables by which a stack
//! could be walked: every backtrace would be empty. This says so at once. So what walks stacks, reads
//! debug information and names functions is not linked: two hundred kilobytes of each program. The names
//! are those of the Itanium C++ ABI, level 1; all that the library refers to must stand here, or the
//! linker takes the real ones besides.

use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK`: there is nothing to tell.
const END_OF_STACK: c_int = 5;

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_each: *const c_void, _data: *mut c_void) -> c_int {
    END_OF_STACK
}

macro_rules! never_called {
    ($($name:ident)*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $name() -> ! {
            std::process::abort()
        })*
    };
}

never_called! {
    _Unwind_DeleteException
    _Unwind_FindEnclosingFunction
    _Unwind_GetCFA
    _Unwind_GetDataRelBase
    _Unwind_GetIP
    _Unwind_GetIPInfo
    _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart
    _Unwind_GetTextRelBase
    _Unwind_RaiseException
    _Unwind_Resume
    _Unwind_SetGR
    _Unwind_SetIP
}
