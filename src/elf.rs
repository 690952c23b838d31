//! Reads as much of an ELF file (elf(5), and the GNU extensions of the Linux Standard Base for
//! symbol versions) as tells whether this machine could load it: its machine, the loader it wants,
//! and the newest version of glibc's symbols that it needs.
//!
//! Only executables and shared objects are looked at; an object file is the linker's business. The
//! file comes from another machine: every offset is checked, every table bounded.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;

use crate::bytes::{Malformed, Parsed, Reader};

/// No real program has more program headers, or longer dynamic, version or string tables.
const MAX_HEADERS: u16 = 128;
const MAX_TABLE: u64 = 4 << 20;
const MAX_NAMES: u32 = 20_000;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERDEFNUM: u64 = 0x6fff_fffd;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DT_VERNEEDNUM: u64 = 0x6fff_ffff;

/// e_machine of this machine's own programs; 0 where it is not known, and then nothing is checked.
const MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    62
} else if cfg!(target_arch = "aarch64") {
    183
} else if cfg!(all(target_arch = "riscv64", target_endian = "little")) {
    243
} else {
    0
};

/// Where distributions keep the C library.
const LIBC: [&str; 6] = [
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/lib/riscv64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/usr/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
];

/// A version of glibc's symbols: 2.36 is (2, 36).
type Glibc = (u32, u32);

/// What a loader would ask of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wants {
    machine: u16,
    interpreter: Option<String>,
    glibc: Glibc,
    /// The newest version this file itself defines (it is a libc).
    defines: Glibc,
}

/// Why this machine could not load `file`; `None` if it could, or if it is nothing to load.
///
/// # Errors
/// The file cannot be read.
pub fn misfit(file: &File) -> io::Result<Option<String>> {
    let mut head = [0; 20];
    if MACHINE == 0 || file.read_at(&mut head, 0)? < head.len() || !is_loadable(&head) {
        return Ok(None);
    }
    Ok(match wants(file) {
        Ok(wants) => wants.misfit(here()),
        Err(Malformed) => Some("a damaged program".into()),
    })
}

/// The shared libraries that `path` asks its loader for, by name; none if it is no program.
pub fn needed(path: &Path) -> Vec<String> {
    let names = || -> Parsed<Vec<String>> {
        let file = File::open(path).map_err(|_| Malformed)?;
        let head = read(&file, 0, 64)?;
        if !is_loadable(&head) || head[4..6] != [2, 1] {
            return Ok(vec![]);
        }
        let segments = segments(&file, &head)?;
        let dynamic = segments.iter().find(|s| s.kind == PT_DYNAMIC);
        let tags = tags(&file, dynamic.ok_or(Malformed)?)?;
        let texts = texts(&file, &segments, &tags)?.ok_or(Malformed)?;
        let needed = tags.iter().filter(|(tag, _)| *tag == DT_NEEDED);
        needed.map(|(_, at)| c_str(&texts, *at as usize)).collect()
    };
    names().unwrap_or_default()
}

/// The magic number, and ET_EXEC or ET_DYN. Byte order may be either: the type's other byte is 0.
fn is_loadable(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF") && matches!(head[16..18], [2 | 3, 0] | [0, 2 | 3])
}

impl Wants {
    fn misfit(&self, here: Option<Glibc>) -> Option<String> {
        if self.machine != MACHINE {
            return Some("a program for another kind of machine".into());
        }
        if let Some(loader) = &self.interpreter
            && !Path::new(loader).exists()
        {
            return Some(format!(
                "a program that needs '{loader}', which is not here"
            ));
        }
        let here = here?;
        let (major, minor) = self.glibc;
        (self.glibc > here).then(|| {
            format!(
                "a program that needs glibc {major}.{minor}, newer than {}.{} here",
                here.0, here.1
            )
        })
    }
}

/// The newest symbols this machine's C library has; `None` if there is no glibc where it is looked for.
fn here() -> Option<Glibc> {
    static HERE: OnceLock<Option<Glibc>> = OnceLock::new();
    *HERE.get_or_init(|| {
        let defined = |path: &&str| {
            let wants = wants(&File::open(path).ok()?).ok()?;
            (wants.machine == MACHINE && wants.defines > (0, 0)).then_some(wants.defines)
        };
        LIBC.iter().find_map(defined)
    })
}

/// One line of the program header table.
#[derive(Debug, Clone, Copy)]
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

fn wants(file: &File) -> Parsed<Wants> {
    let head = read(file, 0, 64)?;
    // 64 bits, little-endian: all that `MACHINE` knows. Another kind is another machine.
    if head[4..6] != [2, 1] {
        return Ok(Wants::default());
    }
    let machine = Reader::new(&head[18..]).u16()?;
    if machine != MACHINE {
        return Ok(Wants {
            machine,
            ..Wants::default()
        });
    }
    let segments = segments(file, &head)?;
    let mut wants = Wants {
        machine,
        ..Wants::default()
    };
    for segment in &segments {
        match segment.kind {
            PT_INTERP => {
                let text = read(file, segment.offset, segment.size.min(4096))?;
                wants.interpreter = Some(c_str(&text, 0)?);
            }
            PT_DYNAMIC => (wants.glibc, wants.defines) = versions(file, &segments, segment)?,
            _ => {}
        }
    }
    Ok(wants)
}

fn segments(file: &File, head: &[u8]) -> Parsed<Vec<Segment>> {
    let table = Reader::new(&head[32..]).u64()?;
    let mut sizes = Reader::new(&head[54..]);
    let (size, count) = (sizes.u16()?, sizes.u16()?);
    if size != 56 || count > MAX_HEADERS {
        return Err(Malformed);
    }
    let bytes = read(file, table, u64::from(size) * u64::from(count))?;
    let mut r = Reader::new(&bytes);
    (0..count)
        .map(|_| {
            let (kind, _flags, offset, address) = (r.u32()?, r.u32()?, r.u64()?, r.u64()?);
            let (_physical, size, _memory, _align) = (r.u64()?, r.u64()?, r.u64()?, r.u64()?);
            Ok(Segment {
                kind,
                offset,
                address,
                size,
            })
        })
        .collect()
}

/// The lines of the dynamic table: tag and value.
fn tags(file: &File, dynamic: &Segment) -> Parsed<Vec<(u64, u64)>> {
    let bytes = read(file, dynamic.offset, dynamic.size)?;
    let pairs = bytes.chunks_exact(16).map(|pair| {
        let mut r = Reader::new(pair);
        Ok((r.u64()?, r.u64()?))
    });
    pairs.collect()
}

fn tag(tags: &[(u64, u64)], wanted: u64) -> Option<u64> {
    tags.iter().find(|(t, _)| *t == wanted).map(|(_, v)| *v)
}

/// The string table that the dynamic table points to, if it does.
fn texts(file: &File, segments: &[Segment], tags: &[(u64, u64)]) -> Parsed<Option<Vec<u8>>> {
    match (tag(tags, DT_STRTAB), tag(tags, DT_STRSZ)) {
        (Some(at), Some(size)) => read(file, offset_of(segments, at)?, size).map(Some),
        _ => Ok(None),
    }
}

/// The newest glibc version needed and the newest defined.
fn versions(file: &File, segments: &[Segment], dynamic: &Segment) -> Parsed<(Glibc, Glibc)> {
    let tags = tags(file, dynamic)?;
    let Some(names) = texts(file, segments, &tags)? else {
        return Ok(((0, 0), (0, 0)));
    };
    let newest = |table, count, shape: &Shape| match (tag(&tags, table), tag(&tags, count)) {
        (Some(at), Some(count)) => {
            let bytes = read_up_to(file, offset_of(segments, at)?, MAX_TABLE)?;
            newest(&bytes, count, shape, &names)
        }
        _ => Ok((0, 0)),
    };
    Ok((
        newest(DT_VERNEED, DT_VERNEEDNUM, &NEEDED)?,
        newest(DT_VERDEF, DT_VERDEFNUM, &DEFINED)?,
    ))
}

/// Where the fields stand in the two kinds of version table: a chain of records, each with a chain
/// of names.
struct Shape {
    /// In a record: how many names, the way to the first, the way to the next record.
    names: usize,
    first: usize,
    next: usize,
    /// In a name: its text, the way to the next name.
    text: usize,
    next_name: usize,
}

const NEEDED: Shape = Shape {
    names: 2,
    first: 8,
    next: 12,
    text: 8,
    next_name: 12,
};
const DEFINED: Shape = Shape {
    names: 6,
    first: 12,
    next: 16,
    text: 0,
    next_name: 4,
};

/// The newest `GLIBC_x.y` in a table of `count` records.
fn newest(table: &[u8], count: u64, shape: &Shape, names: &[u8]) -> Parsed<Glibc> {
    let word = |at: usize| Reader::new(table.get(at..).ok_or(Malformed)?).u32();
    let half = |at: usize| Reader::new(table.get(at..).ok_or(Malformed)?).u16();
    let (mut best, mut record, mut seen) = ((0, 0), 0, 0);
    for _ in 0..count {
        let mut name = record + word(record + shape.first)? as usize;
        for _ in 0..half(record + shape.names)? {
            seen += 1;
            if seen > MAX_NAMES {
                return Err(Malformed);
            }
            let text = c_str(names, word(name + shape.text)? as usize)?;
            best = best.max(glibc(&text).unwrap_or_default());
            name += word(name + shape.next_name)? as usize;
        }
        match word(record + shape.next)? {
            0 => break,
            // A record without names would let the chain go round for ever.
            step if step < 16 => return Err(Malformed),
            step => record += step as usize,
        }
    }
    Ok(best)
}

/// `GLIBC_2.36`, `GLIBC_2.2.5`; not `GLIBC_PRIVATE`.
fn glibc(name: &str) -> Option<Glibc> {
    let mut parts = name.strip_prefix("GLIBC_")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn offset_of(segments: &[Segment], address: u64) -> Parsed<u64> {
    let loads = segments.iter().filter(|s| s.kind == PT_LOAD);
    let mut offsets = loads.filter_map(|s| {
        let within = address.checked_sub(s.address).filter(|w| *w < s.size)?;
        s.offset.checked_add(within)
    });
    offsets.next().ok_or(Malformed)
}

fn c_str(bytes: &[u8], at: usize) -> Parsed<String> {
    let text = bytes.get(at..).ok_or(Malformed)?;
    let end = memchr::memchr(0, text).ok_or(Malformed)?;
    String::from_utf8(text[..end].to_vec()).map_err(|_| Malformed)
}

fn read(file: &File, at: u64, len: u64) -> Parsed<Vec<u8>> {
    let bytes = read_up_to(file, at, len)?;
    (bytes.len() as u64 == len)
        .then_some(bytes)
        .ok_or(Malformed)
}

fn read_up_to(file: &File, at: u64, len: u64) -> Parsed<Vec<u8>> {
    let size = file.metadata().map_err(|_| Malformed)?.len();
    if len > MAX_TABLE {
        return Err(Malformed);
    }
    let mut bytes = vec![0; len.min(size.saturating_sub(at)) as usize];
    file.read_exact_at(&mut bytes, at).map_err(|_| Malformed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn own() -> Vec<u8> {
        std::fs::read("/bin/true").unwrap()
    }

    fn misfit_of(bytes: &[u8]) -> Option<String> {
        let scratch = Scratch::new();
        misfit(&File::open(scratch.file("x", bytes)).unwrap()).unwrap()
    }

    #[test]
    fn this_machines_own_programs_fit() {
        assert!(here().is_some_and(|v| v >= (2, 17)), "{:?}", here());
        assert_eq!(misfit_of(&own()), None);
        assert_eq!(misfit_of(b"#!/bin/sh\n"), None);
        assert_eq!(misfit_of(b""), None);
    }

    #[test]
    fn a_program_names_the_libraries_it_needs() {
        let needs = needed(Path::new("/bin/true"));
        assert!(needs.iter().any(|n| n.starts_with("libc.so")), "{needs:?}");
        assert_eq!(needed(Path::new("/etc/passwd")), [""; 0]);
        assert_eq!(needed(Path::new("/nowhere")), [""; 0]);
    }

    #[test]
    fn another_machine_or_loader_does_not() {
        let mut bytes = own();
        bytes[18] = 40;
        assert!(
            misfit_of(&bytes)
                .unwrap()
                .contains("another kind of machine")
        );
        let mut bytes = own();
        let at = memchr::memmem::find(&bytes, b"/lib64/ld-").unwrap();
        bytes[at + 1] = b'X';
        assert!(misfit_of(&bytes).unwrap().contains("which is not here"));
    }

    /// A worker with a newer distribution builds programs that do not start at home.
    #[test]
    fn a_newer_glibc_does_not() {
        let wants = wants(&File::open("/bin/true").unwrap()).unwrap();
        assert!(
            wants.glibc >= (2, 2) && wants.defines == (0, 0),
            "{wants:?}"
        );
        let newer = Wants {
            glibc: (9, 1),
            ..wants
        };
        assert!(newer.misfit(Some((2, 36))).unwrap().contains("glibc 9.1"));
        assert_eq!(glibc("GLIBC_2.2.5"), Some((2, 2)));
        assert_eq!(glibc("GLIBC_PRIVATE"), None);
    }

    /// Whatever a worker sends is read without a panic.
    #[test]
    fn damage_is_no_panic() {
        let own = own();
        let scratch = Scratch::new();
        let mut dice = crate::scratch::Dice::new(7);
        for _ in 0..3000 {
            let mut bytes = own.clone();
            for _ in 0..8 {
                let span = [1024, bytes.len()][dice.roll(2)];
                let at = dice.roll(span);
                bytes[at] = dice.roll(256) as u8;
            }
            bytes.truncate(dice.roll(bytes.len()));
            let file = File::open(scratch.file("x", &bytes)).unwrap();
            let _ = misfit(&file).unwrap();
            let _ = wants(&file);
        }
    }
}
