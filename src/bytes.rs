//! Reading and writing little-endian binary records, bounds-checked.
//!
//! Both wire protocols and the manifests on disk are built from these few shapes. Reading foreign
//! bytes never panics and never allocates more than the input's own length: a count is believed
//! only as far as bytes are there to back it. Why not serde with a binary format: the protocol page
//! of the manual must be able to say what every byte is, and five shapes say it.

use xxhash_rust::xxh3::Xxh3;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The input ended early or held a value outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

pub type Parsed<T> = Result<T, Malformed>;

/// Whether both hold the same, sixteen bytes at a time: the static C library's memcmp takes one.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let words = a.iter().zip(b);
    let differ =
        |(x, y): (&[u8; 16], &[u8; 16])| u128::from_ne_bytes(*x) != u128::from_ne_bytes(*y);
    a.len() == b.len() && a_rest == b_rest && !words.into_iter().any(differ)
}

/// Appends shapes to a byte vector.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn u8(&mut self, v: u8) -> &mut Self {
        self.0.push(v);
        self
    }

    pub fn flag(&mut self, v: bool) -> &mut Self {
        self.u8(u8::from(v))
    }

    pub fn u16(&mut self, v: u16) -> &mut Self {
        self.raw(&v.to_le_bytes())
    }

    pub fn u32(&mut self, v: u32) -> &mut Self {
        self.raw(&v.to_le_bytes())
    }

    pub fn u64(&mut self, v: u64) -> &mut Self {
        self.raw(&v.to_le_bytes())
    }

    pub fn i64(&mut self, v: i64) -> &mut Self {
        self.raw(&v.to_le_bytes())
    }

    pub fn raw(&mut self, v: &[u8]) -> &mut Self {
        self.0.extend_from_slice(v);
        self
    }

    /// A length (u32) and as many bytes.
    pub fn bytes(&mut self, v: &[u8]) -> &mut Self {
        let len = u32::try_from(v.len()).expect("BUG: a field longer than 4 GiB");
        self.u32(len).raw(v)
    }

    pub fn str(&mut self, v: &str) -> &mut Self {
        self.bytes(v.as_bytes())
    }

    pub fn path(&mut self, v: &Path) -> &mut Self {
        self.bytes(v.as_os_str().as_bytes())
    }

    /// A presence byte, then the value if there is one.
    pub fn option<T>(&mut self, v: Option<&T>, put: impl FnOnce(&mut Self, &T)) -> &mut Self {
        self.flag(v.is_some());
        if let Some(v) = v {
            put(self, v);
        }
        self
    }

    /// A count (u32), then each element.
    pub fn list<T>(&mut self, items: &[T], mut put: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.u32(u32::try_from(items.len()).expect("BUG: a list of more than 2^32 elements"));
        for item in items {
            put(self, item);
        }
        self
    }
}

/// Takes shapes off the front of a byte slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// Everything that has not been read yet.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// # Errors
    /// `Malformed` unless the whole input was read.
    pub fn end(&self) -> Parsed<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    pub fn raw(&mut self, n: usize) -> Parsed<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        self.raw(N)?.try_into().map_err(|_| Malformed)
    }

    pub fn u8(&mut self) -> Parsed<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn flag(&mut self) -> Parsed<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub fn u16(&mut self) -> Parsed<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Parsed<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub fn bytes(&mut self) -> Parsed<&'a [u8]> {
        let len = self.u32()? as usize;
        self.raw(len)
    }

    pub fn vec(&mut self) -> Parsed<Vec<u8>> {
        self.bytes().map(<[u8]>::to_vec)
    }

    pub fn str(&mut self) -> Parsed<String> {
        String::from_utf8(self.vec()?).map_err(|_| Malformed)
    }

    pub fn os(&mut self) -> Parsed<OsString> {
        self.vec().map(OsString::from_vec)
    }

    pub fn path(&mut self) -> Parsed<PathBuf> {
        self.os().map(PathBuf::from)
    }

    pub fn option<T>(&mut self, get: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<Option<T>> {
        if self.flag()? {
            get(self).map(Some)
        } else {
            Ok(None)
        }
    }

    pub fn list<T>(&mut self, mut get: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let count = self.u32()? as usize;
        // Every element takes at least a byte, so a lying count costs no memory.
        let mut items = Vec::with_capacity(count.min(self.left()).min(4096));
        for _ in 0..count {
            items.push(get(self)?);
        }
        Ok(items)
    }
}

/// XXH3 (64 bits) of content as it passes. Its state is too large for the stack of whoever holds it.
#[derive(Default)]
pub struct Hash(Box<Xxh3>);

impl Hash {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn digest(&self) -> u64 {
        self.0.digest()
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_compared() {
        let all: Vec<u8> = (0..50).collect();
        for len in 0..all.len() {
            assert!(same(&all[..len], &all[..len]));
            assert!(!same(&all[..len], &all[..=len]));
            for at in 0..len {
                let mut other = all[..len].to_vec();
                other[at] ^= 0x80;
                assert!(!same(&all[..len], &other), "{at} of {len}");
            }
        }
    }

    #[test]
    fn every_shape_survives_the_way_there_and_back() {
        let mut w = Writer::default();
        w.u8(7)
            .flag(true)
            .u16(600)
            .u32(70_000)
            .u64(1 << 40)
            .i64(-5)
            .str("naïve");
        w.option(Some(&3u32), |w, v| {
            w.u32(*v);
        });
        w.list(&[b"a".to_vec(), Vec::new()], |w, v| {
            w.bytes(v);
        });
        let mut r = Reader::new(&w.0);
        assert_eq!(r.u8(), Ok(7));
        assert_eq!(r.flag(), Ok(true));
        assert_eq!(r.u16(), Ok(600));
        assert_eq!(r.u32(), Ok(70_000));
        assert_eq!(r.u64(), Ok(1 << 40));
        assert_eq!(r.i64(), Ok(-5));
        assert_eq!(r.str().as_deref(), Ok("naïve"));
        assert_eq!(r.option(Reader::u32), Ok(Some(3)));
        assert_eq!(r.list(Reader::vec), Ok(vec![b"a".to_vec(), Vec::new()]));
        assert_eq!(r.end(), Ok(()));
    }

    #[test]
    fn a_lying_length_is_malformed_not_a_panic() {
        assert_eq!(
            Reader::new(&[255, 255, 255, 255, 1]).bytes(),
            Err(Malformed)
        );
        assert_eq!(
            Reader::new(&[255, 255, 255, 255, 1]).list(Reader::u8),
            Err(Malformed)
        );
        assert_eq!(Reader::new(&[2]).flag(), Err(Malformed));
    }
}
