//! A directory's entries without an allocation for each: getdents64(2) into one buffer that is used
//! again, and names that stay where the kernel put them.
//!
//! The standard library allocates three times for every entry, which was a third of the scan of a large
//! tree.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::fs::{Stat, lstatat_c};

/// Bytes read at a time; the C library's readdir(3) takes as much.
const PIECE: usize = 32 << 10;

/// Where the fields of a `linux_dirent64` (getdents64(2)) lie: its length, its type, its name.
const LENGTH: usize = 16;
const TYPE: usize = 18;
const NAME: usize = 19;

/// The entries of one directory.
#[derive(Debug, Default)]
pub struct Listing {
    buf: Vec<u8>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Dirent<'a> {
    name: &'a CStr,
    /// `DT_…`, readdir(3).
    kind: u8,
}

/// Opens a directory; anything else is an error, and is not waited for. A link is followed only if
/// `follow`.
pub fn open(path: &Path, follow: bool) -> io::Result<File> {
    let flags = match follow {
        true => libc::O_DIRECTORY,
        false => libc::O_DIRECTORY | libc::O_NOFOLLOW,
    };
    let mut options = File::options();
    options.read(true).custom_flags(flags);
    options.open(path)
}

impl Listing {
    /// Reads all of `dir` from where its descriptor stands, which should be the beginning.
    pub fn read(&mut self, dir: impl AsFd) -> io::Result<()> {
        self.buf.clear();
        loop {
            self.buf.reserve(PIECE);
            let spare = self.buf.spare_capacity_mut();
            // SAFETY: the pointer and length are those of a live, writable slice.
            let n = unsafe {
                libc::syscall(
                    libc::SYS_getdents64,
                    dir.as_fd().as_raw_fd(),
                    spare.as_mut_ptr(),
                    spare.len(),
                )
            };
            match usize::try_from(n) {
                Err(_) => return Err(io::Error::last_os_error()),
                Ok(0) => return Ok(()),
                // SAFETY: the kernel has just written so many bytes behind the old ones.
                Ok(n) => unsafe { self.buf.set_len(self.buf.len() + n) },
            }
        }
    }

    /// Without `.` and `..`, in the order of the disk.
    pub fn iter(&self) -> impl Iterator<Item = Dirent<'_>> {
        let mut left = self.buf.as_slice();
        let all = std::iter::from_fn(move || {
            let length = left.get(LENGTH..TYPE)?;
            let length = u16::from_ne_bytes(length.try_into().ok()?);
            let (record, rest) = left.split_at_checked(usize::from(length))?;
            left = rest;
            Some(Dirent {
                name: CStr::from_bytes_until_nul(record.get(NAME..)?).ok()?,
                kind: *record.get(TYPE)?,
            })
        });
        all.filter(|entry| !matches!(entry.name.to_bytes(), b"." | b".."))
    }
}

impl<'a> Dirent<'a> {
    pub fn name(&self) -> &'a OsStr {
        OsStr::from_bytes(self.name.to_bytes())
    }

    /// What stands under the name in `dir`, without following it.
    pub fn stat(&self, dir: impl AsFd) -> io::Result<Stat> {
        lstatat_c(dir, self.name)
    }

    /// Whether it is a directory, for file systems that say so in the listing; `None` if it has to be
    /// looked at.
    pub fn is_dir(&self) -> Option<bool> {
        (self.kind != libc::DT_UNKNOWN).then_some(self.kind == libc::DT_DIR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn all_names_and_what_they_are() {
        let at = Scratch::new();
        let names = (0..2000).map(|n| format!("{n}-{}", "x".repeat(n % 200)));
        let mut names: Vec<String> = names.collect();
        for name in &names {
            at.file(format!("d/{name}"), "");
        }
        at.dir("d/sub");
        at.link("d/link", "nowhere");
        names.extend(["sub".into(), "link".into()]);
        names.sort();
        let mut listing = Listing::default();
        // Twice: what was read before is not seen again.
        for _ in 0..2 {
            let dir = open(&at.dir("d"), false).unwrap();
            listing.read(&dir).unwrap();
            let mut found: Vec<_> = listing.iter().map(|e| e.name().to_str().unwrap()).collect();
            found.sort_unstable();
            assert_eq!(found, names);
            for entry in listing.iter() {
                let stat = entry.stat(&dir).unwrap();
                let is_dir = entry.name() == "sub";
                assert_eq!((stat.is_dir(), entry.is_dir()), (is_dir, Some(is_dir)));
                assert_eq!(stat.is_symlink(), entry.name() == "link");
            }
        }
        assert!(open(&at.file("plain", ""), true).is_err());
        at.link("way", "d");
        let way = at.0.join("way");
        assert!(open(&way, true).is_ok() && open(&way, false).is_err());
    }
}
