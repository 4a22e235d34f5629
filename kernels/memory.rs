//! Memory for numbers: on cache lines, and on large pages where there is much of it.
//!
//! 64 bytes are a cache line and the widest vector, so that a kernel's first load never splits. With pages
//! of 2 MiB the processor need not look up addresses all the time when a kernel goes through dozens of
//! planes side by side.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::num::NonZero;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

const LINE: usize = 64;
const LARGE_PAGE: usize = 2 << 20;

/// A row of numbers on a 64-byte boundary, zeroed when made.
pub struct Buffer<T: Number> {
    start: NonNull<T>,
    len: usize,
}

/// Types for which zero bytes are a value, and that need no dropping.
///
/// # Safety
/// Both must hold.
pub unsafe trait Number: Copy + Send + Sync + 'static {}

// SAFETY: zero bytes are 0.
unsafe impl Number for f32 {}
// SAFETY: as above.
unsafe impl Number for u32 {}
// SAFETY: as above.
unsafe impl Number for u16 {}
// SAFETY: as above.
unsafe impl Number for i8 {}
// SAFETY: as above.
unsafe impl Number for u8 {}
// SAFETY: an array of numbers is one.
unsafe impl<T: Number, const N: usize> Number for [T; N] {}

// SAFETY: a buffer owns its numbers, as a `Vec` does.
unsafe impl<T: Number> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Number> Sync for Buffer<T> {}

impl<T: Number> Buffer<T> {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let layout = Self::layout(len);
        if layout.size() == 0 {
            let nowhere = NonNull::without_provenance(NonZero::new(LINE).expect("64 is not 0"));
            return Self { start: nowhere, len };
        }
        // SAFETY: the layout has a size. Advice changes no contents, and memory is written only inside
        // the layout.
        let start = unsafe {
            if layout.align() == LARGE_PAGE {
                let start = alloc(layout);
                if !start.is_null() {
                    advise_large_pages(start, layout.size());
                    start.write_bytes(0, layout.size());
                }
                start
            } else {
                alloc_zeroed(layout)
            }
        };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start: start.cast(), len }
    }

    fn layout(len: usize) -> Layout {
        let bytes = len * size_of::<T>();
        let align = if bytes >= LARGE_PAGE { LARGE_PAGE } else { LINE.max(align_of::<T>()) };
        Layout::from_size_align(bytes, align).expect("more numbers than fit the address space")
    }

    /// The first `len` numbers of a buffer that grows when it must; then they are zeros.
    pub fn at_least(&mut self, len: usize) -> &mut [T] {
        if self.len < len {
            *self = Self::zeroed(len);
        }
        &mut self[..len]
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(&self[..])
    }
}

/// Asks for large pages; a system that has none goes on with small ones.
fn advise_large_pages(start: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the range was just allocated, and this advice changes no contents.
    unsafe {
        libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

impl<T: Number> Drop for Buffer<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.len);
        if layout.size() > 0 {
            // SAFETY: it was allocated with this layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        }
    }
}

impl<T: Number> Default for Buffer<T> {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl<T: Number> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self::from(&self[..])
    }
}

impl<T: Number> From<&[T]> for Buffer<T> {
    fn from(values: &[T]) -> Self {
        let mut buffer = Self::zeroed(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: `len` numbers were allocated and set.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Number> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_on_cache_lines_and_hold_zeros() {
        for len in [0, 1, 17, 1000, LARGE_PAGE / 4, LARGE_PAGE / 4 + 3] {
            let mut b = Buffer::<f32>::zeroed(len);
            assert_eq!((b.len(), b.as_ptr() as usize % LINE), (len, 0));
            assert!(b.iter().all(|v| *v == 0.0));
            if let Some(last) = b.last_mut() {
                *last = 1.0;
                assert_eq!(b.clone().last(), Some(&1.0));
            }
        }
        assert_eq!(*Buffer::from(&[1.0, 2.0][..]), [1.0, 2.0]);
    }

    #[test]
    fn a_buffer_grows_but_does_not_shrink() {
        let mut b = Buffer::<u32>::default();
        b.at_least(3).fill(7);
        assert_eq!(b.at_least(2), [7, 7]);
        assert_eq!(b.at_least(5), [0; 5]);
    }
}
