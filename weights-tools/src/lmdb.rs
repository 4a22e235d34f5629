//! Caffe's databases of samples: the folder of an LMDB in, its samples by number out.
//!
//! Only what reading takes: two meta pages of which the later counts, then a B+ tree of branch and
//! leaf pages, and runs of overflow pages for values that do not fit a leaf (after `mdb.c` of LMDB
//! 0.9). Nothing is locked or written, so a read-only folder does, and every offset is checked
//! against the file: LMDB's own library trusts its file and ends the program over a damaged one.

use std::path::Path;

use prost::Message;
use prost::bytes::{Buf, Bytes};

use crate::{Error, mapped, proto};

/// First in each meta page.
const MAGIC: u32 = 0xBEEF_C0DE;
/// The data format of every LMDB 0.9.
const VERSION: u32 = 1;
/// Bytes before a page's contents.
const PAGE_HEADER: usize = 16;
/// Bytes before a node's key.
const NODE_HEADER: usize = 8;
/// Page flags.
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const OVERFLOW: u16 = 0x04;
const KINDS: u16 = 0x6f;
/// Node flag: the value lies in overflow pages.
const BIG: u16 = 0x01;
/// The root of a database without entries.
const NO_PAGE: u64 = u64::MAX;
/// A tree of any file that fits a disk is lower.
const MAX_DEPTH: usize = 32;

/// A database of samples, mapped into memory. What it keeps besides is 16 bytes a leaf page, each
/// of which holds some tens of entries.
pub struct Lmdb {
    file: String,
    bytes: Bytes,
    page_size: usize,
    /// The leaf pages in the order of their keys: entries up to the end of each, and the page.
    leaves: Vec<(usize, usize)>,
}

impl Lmdb {
    /// Opens the database in the folder `path` (its `data.mdb`), or the file `path`.
    ///
    /// Fails when there is none, or what is there is damaged or not one database of LMDB 0.9
    /// written on a 64-bit little-endian machine.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = if path.is_dir() { path.join("data.mdb") } else { path.to_path_buf() };
        Self::new(path.display().to_string(), mapped::map(&path)?)
    }

    fn new(file: String, bytes: Bytes) -> Result<Self, Error> {
        let mut lmdb = Lmdb { file, bytes, page_size: 0, leaves: vec![] };
        let root = lmdb.read_meta()?;
        if root.0 != NO_PAGE {
            lmdb.collect_leaves(root.0, 0)?;
        }
        match lmdb.len() {
            n if n as u64 == root.1 => Ok(lmdb),
            n => Err(lmdb.damaged(format!("{n} entries where it tells of {}", root.1))),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.leaves.last().map_or(0, |leaf| leaf.0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of entry `index`, in the order of the keys.
    pub fn key(&self, index: usize) -> Result<Bytes, Error> {
        Ok(self.node(index)?.key)
    }

    /// The sample of entry `index`, in the order of the keys.
    pub fn datum(&self, index: usize) -> Result<proto::Datum, Error> {
        let node = self.node(index)?;
        proto::Datum::decode(self.value(&node)?)
            .map_err(|e| self.damaged(format!("entry {index} is not a Datum ({e})")))
    }

    /// Reads page size, root and number of entries from the later of the two meta pages.
    fn read_meta(&mut self) -> Result<(u64, u64), Error> {
        let not_one = |what: &str| {
            let problem = "not an LMDB of Caffe's (a folder with data.mdb, written by LMDB 0.9 on a \
                           64-bit little-endian machine)";
            Error::damaged(&self.file, format!("{problem}: {what}"))
        };
        let size = self.u32(40).ok_or_else(|| not_one("it is too short"))? as usize;
        if !size.is_power_of_two() || !(512..=65536).contains(&size) {
            return Err(not_one("its page size makes no sense"));
        }
        let meta = |at: usize| {
            let valid = self.u32(at + 16)? == MAGIC && self.u32(at + 20)? == VERSION;
            let (entries, root) = (self.u64(at + 120)?, self.u64(at + 128)?);
            valid.then_some((self.u64(at + 144)?, root, entries))
        };
        let latest = meta(0).into_iter().chain(meta(size)).max_by_key(|meta| meta.0);
        let (_, root, entries) = latest.ok_or_else(|| not_one("it has no valid meta page"))?;
        self.page_size = size;
        Ok((root, entries))
    }

    /// Lists the leaf pages below `page` from left to right.
    fn collect_leaves(&mut self, page: u64, depth: usize) -> Result<(), Error> {
        let at = self.page(page)?;
        let (flags, nodes) = (self.flags(at)?, self.nodes(at)?);
        // A page that is reached twice is reached until there are more leaves than pages.
        if depth > MAX_DEPTH || self.leaves.len() > self.bytes.len() / self.page_size {
            return Err(self.damaged(format!("its tree runs in a circle at page {page}")));
        }
        match flags & KINDS {
            LEAF => {
                let before = self.len();
                self.leaves.push((before + nodes, at));
                Ok(())
            }
            BRANCH if nodes > 0 => (0..nodes).try_for_each(|i| {
                let node = self.node_at(at, i)?;
                let [low, high, flags] = [0, 2, 4].map(|o| self.u16(node + o).unwrap_or(0));
                let child = u64::from(low) | u64::from(high) << 16 | u64::from(flags) << 32;
                self.collect_leaves(child, depth + 1)
            }),
            _ => Err(self.damaged(format!("page {page} is neither branch nor leaf"))),
        }
    }

    /// The entry `index`.
    fn node(&self, index: usize) -> Result<Node, Error> {
        let leaf = self.leaves.partition_point(|leaf| leaf.0 <= index);
        let Some(&(_, page)) = self.leaves.get(leaf) else {
            return Err(self.damaged(format!("it has {} entries, no entry {index}", self.len())));
        };
        let before = leaf.checked_sub(1).map_or(0, |left| self.leaves[left].0);
        let at = self.node_at(page, index - before)?;
        let node = || {
            let [low, high, flags, key] = [0, 2, 4, 6].map(|o| self.u16(at + o));
            let (start, key) = (at + NODE_HEADER, usize::from(key?));
            Some(Node {
                key: self.slice(start, key)?,
                at: start + key,
                size: usize::from(low?) | usize::from(high?) << 16,
                flags: flags?,
            })
        };
        node().ok_or_else(|| self.damaged(format!("entry {index} reaches beyond its end")))
    }

    /// A node's value, from its leaf or its overflow pages.
    fn value(&self, node: &Node) -> Result<Bytes, Error> {
        let start = match node.flags {
            0 => node.at,
            BIG => {
                let first = self.u64(node.at).ok_or_else(|| self.cut_short())?;
                let page = self.page(first)?;
                if self.flags(page)? & KINDS != OVERFLOW {
                    return Err(self.damaged(format!("page {first} is not an overflow page")));
                }
                page + PAGE_HEADER
            }
            _ => return Err(self.damaged("it holds several databases; Caffe's hold one")),
        };
        self.slice(start, node.size).ok_or_else(|| self.cut_short())
    }

    /// Where a page begins.
    fn page(&self, number: u64) -> Result<usize, Error> {
        let at = usize::try_from(number).ok().and_then(|n| n.checked_mul(self.page_size));
        let end = at.and_then(|at| at.checked_add(self.page_size));
        match (at, end) {
            (Some(at), Some(end)) if end <= self.bytes.len() => Ok(at),
            _ => Err(self.cut_short()),
        }
    }

    fn flags(&self, page: usize) -> Result<u16, Error> {
        self.u16(page + 10).ok_or_else(|| self.cut_short())
    }

    /// How many nodes a page holds: the offsets between its header and `lower`.
    fn nodes(&self, page: usize) -> Result<usize, Error> {
        let lower = self.u16(page + 12).map(usize::from);
        match lower.and_then(|lower| lower.checked_sub(PAGE_HEADER)) {
            Some(offsets) if offsets + PAGE_HEADER <= self.page_size => Ok(offsets / 2),
            _ => Err(self.damaged("a page counts more nodes than it has room for")),
        }
    }

    /// Where a page's node `index` begins.
    fn node_at(&self, page: usize, index: usize) -> Result<usize, Error> {
        let offset = self.u16(page + PAGE_HEADER + 2 * index).map(usize::from);
        match offset {
            Some(offset) if offset + NODE_HEADER <= self.page_size => Ok(page + offset),
            _ => Err(self.damaged("a node lies outside its page")),
        }
    }

    fn slice(&self, start: usize, len: usize) -> Option<Bytes> {
        let end = start.checked_add(len).filter(|&end| end <= self.bytes.len())?;
        Some(self.bytes.slice(start..end))
    }

    fn u16(&self, at: usize) -> Option<u16> {
        Some(self.bytes.get(at..at.checked_add(2)?)?.get_u16_le())
    }

    fn u32(&self, at: usize) -> Option<u32> {
        Some(self.bytes.get(at..at.checked_add(4)?)?.get_u32_le())
    }

    fn u64(&self, at: usize) -> Option<u64> {
        Some(self.bytes.get(at..at.checked_add(8)?)?.get_u64_le())
    }

    fn cut_short(&self) -> Error {
        self.damaged("a page lies beyond the file's end; is it cut short?")
    }

    fn damaged(&self, problem: impl Into<String>) -> Error {
        Error::damaged(&self.file, format!("the database is damaged: {}", problem.into()))
    }
}

/// An entry in its leaf page.
struct Node {
    key: Bytes,
    /// Where the value, or the number of its first overflow page, lies.
    at: usize,
    size: usize,
    flags: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page with `flags` whose nodes are these bytes.
    fn page(flags: u16, nodes: &[Vec<u8>]) -> Vec<u8> {
        let mut page = vec![0; 512];
        let mut at = page.len();
        for (i, node) in nodes.iter().enumerate() {
            at -= node.len();
            page[at..at + node.len()].copy_from_slice(node);
            page[PAGE_HEADER + 2 * i..][..2].copy_from_slice(&(at as u16).to_le_bytes());
        }
        page[10..12].copy_from_slice(&flags.to_le_bytes());
        let lower = (PAGE_HEADER + 2 * nodes.len()) as u16;
        page[12..14].copy_from_slice(&lower.to_le_bytes());
        page
    }

    fn node(size: u32, flags: u16, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut node = size.to_le_bytes().to_vec();
        node.extend(flags.to_le_bytes());
        node.extend((key.len() as u16).to_le_bytes());
        node.extend(key);
        node.extend(value);
        node
    }

    fn meta(transaction: u64, root: u64, entries: u64) -> Vec<u8> {
        let mut page = vec![0; 512];
        page[16..20].copy_from_slice(&MAGIC.to_le_bytes());
        page[20..24].copy_from_slice(&VERSION.to_le_bytes());
        page[40..44].copy_from_slice(&512u32.to_le_bytes());
        page[120..128].copy_from_slice(&entries.to_le_bytes());
        page[128..136].copy_from_slice(&root.to_le_bytes());
        page[144..152].copy_from_slice(&transaction.to_le_bytes());
        page
    }

    /// Three samples below a branch, the last in overflow pages.
    fn database() -> Vec<u8> {
        let datum = |label: i32, n: usize| proto::Datum {
            label: Some(label),
            data: Some(vec![label as u8; n]),
            ..Default::default()
        };
        let [small, other] = [datum(4, 3), datum(5, 7)].map(|d| d.encode_to_vec());
        let large = datum(6, 900).encode_to_vec();
        let inline = |key: &[u8], v: &[u8]| node(v.len() as u32, 0, key, v);
        let child = |page: u32, key: &[u8]| node(page, 0, key, &[]);
        let mut overflow = page(OVERFLOW, &[]);
        overflow.resize(1024, 0);
        overflow[16..16 + large.len()].copy_from_slice(&large);
        [
            meta(7, 2, 3),
            meta(6, NO_PAGE, 0),
            page(BRANCH, &[child(3, b""), child(4, b"c")]),
            page(LEAF, &[inline(b"a", &small), inline(b"b", &other)]),
            page(LEAF, &[node(large.len() as u32, BIG, b"c", &5u64.to_le_bytes())]),
            overflow,
        ]
        .concat()
    }

    fn open(bytes: Vec<u8>) -> Result<Lmdb, Error> {
        Lmdb::new("test".to_owned(), bytes.into())
    }

    #[test]
    fn entries_come_in_the_order_of_their_keys() {
        let lmdb = open(database()).unwrap();
        assert_eq!(lmdb.len(), 3);
        for (i, (key, len)) in [("a", 3), ("b", 7), ("c", 900)].into_iter().enumerate() {
            let datum = lmdb.datum(i).unwrap();
            assert_eq!(lmdb.key(i).unwrap(), key);
            assert_eq!((datum.label(), datum.data().len()), (4 + i as i32, len));
        }
        assert!(lmdb.datum(3).unwrap_err().to_string().contains("no entry 3"));
        let empty = open([meta(1, NO_PAGE, 0), meta(0, NO_PAGE, 0)].concat()).unwrap();
        assert!(empty.is_empty() && empty.datum(0).is_err());
    }

    /// Opens and reads everything; whatever comes out, nothing panics.
    fn read_all(bytes: Vec<u8>) -> Result<(), Error> {
        let lmdb = open(bytes)?;
        (0..lmdb.len()).try_for_each(|i| lmdb.key(i).and(lmdb.datum(i)).map(drop))
    }

    #[test]
    fn damage_is_an_error() {
        let whole = database();
        for len in 0..whole.len() - 500 {
            assert!(read_all(whole[..len].to_vec()).is_err(), "cut at {len}");
        }
        let mut errors = 0;
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                errors += usize::from(read_all(bytes).is_err());
            }
        }
        assert!(errors > 500, "{errors}");
        // The branch's first child, at the page's end, is the branch itself.
        let mut circle = whole;
        circle[3 * 512 - NODE_HEADER] = 2;
        assert!(read_all(circle).unwrap_err().to_string().contains("circle"));
        assert!(read_all(b"LevelDB".repeat(100)).unwrap_err().to_string().contains("not an LMDB"));
    }
}
