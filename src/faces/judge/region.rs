//! Rectangles as labels have them, in `f64`: medians of their ratios are compared to nine digits.
//! Flows in: positions in pixels. Flows out: how much they overlap.

use crate::faces::Rect;

/// A rectangle in pixels; x and y are its upper left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Region {
    /// Left.
    pub x: f64,
    /// Top.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl From<Rect> for Region {
    fn from(Rect { x, y, w, h }: Rect) -> Self {
        Self { x: x.into(), y: y.into(), w: w.into(), h: h.into() }
    }
}

impl Region {
    /// Width times height.
    pub fn area(&self) -> f64 {
        self.w * self.h
    }

    /// The middle.
    pub fn center(&self) -> [f64; 2] {
        [self.x + self.w / 2.0, self.y + self.h / 2.0]
    }

    /// The area that both cover.
    pub fn intersection(&self, other: &Self) -> f64 {
        let right = (self.x + self.w).min(other.x + other.w);
        let bottom = (self.y + self.h).min(other.y + other.h);
        (right - self.x.max(other.x)).max(0.0) * (bottom - self.y.max(other.y)).max(0.0)
    }

    /// The intersection as a part of the union; 0 where both are empty.
    pub fn iou(&self, other: &Self) -> f64 {
        let common = self.intersection(other);
        let union = self.area() + other.area() - common;
        if union > 0.0 { common / union } else { 0.0 }
    }
}
