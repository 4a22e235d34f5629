//! The output of a convolution, which threads may fill side by side.

use std::marker::PhantomData;
use std::ops::Range;

/// Some planes of some pictures, of which some positions may be written: each of several that share the same
/// planes has positions of its own.
pub struct Planes<'a> {
    start: *mut f32,
    len: usize,
    /// Positions of a plane.
    plane: usize,
    /// From one picture to the next.
    pitch: usize,
    positions: Range<usize>,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a mutable slice, but that others with other positions may exist.
unsafe impl Send for Planes<'_> {}

impl<'a> Planes<'a> {
    /// All positions; `y` begins with the first plane of the first picture. Planes have `plane` values,
    /// pictures begin `pitch` apart.
    pub fn new(y: &'a mut [f32], plane: usize, pitch: usize) -> Self {
        let positions = 0..plane;
        let (start, len) = (y.as_mut_ptr(), y.len());
        Self { start, len, plane, pitch, positions, borrowed: PhantomData }
    }

    /// The same planes, for `step` positions each and the rest.
    ///
    /// # Panics
    /// When `step` is zero.
    pub fn cut(self, step: usize) -> impl Iterator<Item = Self> {
        let Self { start, len, plane, pitch, positions, borrowed } = self;
        let end = positions.end;
        positions.step_by(step).map(move |at| {
            let positions = at..end.min(at + step);
            Self { start, len, plane, pitch, positions, borrowed }
        })
    }

    /// Which may be written.
    pub fn positions(&self) -> Range<usize> {
        self.positions.clone()
    }

    /// Whether so many planes of so many pictures are there.
    pub(super) fn holds(&self, pictures: usize, planes: usize) -> bool {
        pictures == 0 || (pictures - 1) * self.pitch + planes * self.plane <= self.len
    }

    /// Some positions of some planes of a picture: where the first plane's begin; the next plane's are a plane
    /// further.
    ///
    /// # Panics
    /// When they are not there or not to be written.
    #[inline(always)]
    pub(super) fn at(
        &mut self,
        picture: usize,
        planes: Range<usize>,
        position: usize,
        count: usize,
    ) -> *mut f32 {
        assert!(self.positions.start <= position && position + count <= self.positions.end);
        assert!(picture * self.pitch + planes.end * self.plane <= self.len);
        self.start.wrapping_add(picture * self.pitch + planes.start * self.plane + position)
    }

    /// The first planes of a picture, as a slice.
    ///
    /// # Panics
    /// When they are not there, or not all positions are to be written.
    pub(super) fn picture(&mut self, picture: usize, planes: usize) -> &mut [f32] {
        let start = self.at(picture, 0..planes, 0, self.plane);
        // SAFETY: these planes lie inside the borrowed slice, and no other has any position of them.
        unsafe { std::slice::from_raw_parts_mut(start, planes * self.plane) }
    }
}
