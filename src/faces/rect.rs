//! Rectangles and faces. In `f64`: a judge compares medians of their ratios to nine digits. Flows in: positions in pixels. Flows out: how much they overlap.

/// A rectangle in pixels; x and y are its upper left corner. It may reach outside the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    /// Left.
    pub x: f64,
    /// Top.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

/// A found face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Face {
    /// Where.
    pub rect: Rect,
    /// How sure: a probability, or the cascade's own measure.
    pub confidence: f32,
}

impl Rect {
    /// Width times height.
    pub fn area(&self) -> f64 {
        self.w * self.h
    }

    /// The middle.
    pub fn centre(&self) -> [f64; 2] {
        [self.x + self.w / 2.0, self.y + self.h / 2.0]
    }

    /// The area that both cover.
    pub fn intersection(&self, other: &Rect) -> f64 {
        let right = (self.x + self.w).min(other.x + other.w);
        let bottom = (self.y + self.h).min(other.y + other.h);
        (right - self.x.max(other.x)).max(0.0) * (bottom - self.y.max(other.y)).max(0.0)
    }

    /// The intersection as a part of the union; 0 where both are empty.
    pub fn iou(&self, other: &Rect) -> f64 {
        let common = self.intersection(other);
        let union = self.area() + other.area() - common;
        if union > 0.0 { common / union } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_a_part_of_the_union() {
        let a = Rect { x: 0.0, y: 0.0, w: 4.0, h: 2.0 };
        let b = Rect { x: 2.0, y: 1.0, w: 4.0, h: 2.0 };
        assert_eq!(a.intersection(&b), 2.0);
        assert_eq!(a.iou(&b), 2.0 / 14.0);
        assert_eq!(a.iou(&Rect { x: 9.0, ..b }), 0.0);
        assert_eq!(Rect::default().iou(&Rect::default()), 0.0);
    }
}
