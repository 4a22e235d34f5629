//! A picture in the making. Flows in: shapes with their colours. Flows out: a colour per pixel, ungraded.
//!
//! Edges are as wide as a pixel or wider: a shape's cover falls with the distance to its outline, so that
//! nothing has to be drawn larger and reduced.

use super::colour::{Colour, mix};

/// Pixels, row by row. A pixel's middle lies at (column + ½, row + ½).
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    /// (height, width)
    pub(super) pixels: Vec<Colour>,
}

/// The pixels that a shape can touch, in picture coordinates.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) right: f32,
    pub(super) bottom: f32,
}

/// A coordinate system in the picture: where its origin lies, how many pixels one unit is, how it is turned.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) origin: [f32; 2],
    pub(super) scale: f32,
    pub(super) angle: f32,
}

/// An ellipse in a frame's units; `angle` in radians, clockwise.
#[derive(Clone, Copy)]
pub(super) struct Oval {
    pub(super) centre: [f32; 2],
    pub(super) radii: [f32; 2],
    pub(super) angle: f32,
}

/// Draws in a frame's units.
pub(super) struct Pen<'a> {
    pub(super) canvas: &'a mut Canvas,
    pub(super) frame: Frame,
}

impl Bounds {
    /// The smallest bounds of some points, widened by `margin` pixels.
    pub(super) fn around(points: &[[f32; 2]], margin: f32) -> Self {
        let empty = Self { left: f32::MAX, top: f32::MAX, right: f32::MIN, bottom: f32::MIN };
        let tight = points.iter().fold(empty, |b, p| Self {
            left: b.left.min(p[0]),
            top: b.top.min(p[1]),
            right: b.right.max(p[0]),
            bottom: b.bottom.max(p[1]),
        });
        Self {
            left: tight.left - margin,
            top: tight.top - margin,
            right: tight.right + margin,
            bottom: tight.bottom + margin,
        }
    }
}

impl Canvas {
    /// A black picture.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![[0.0; 3]; width * height] }
    }

    /// A frame whose unit is the picture's shorter side and whose origin is its upper left corner.
    pub(super) fn frame(&self) -> Frame {
        Frame { origin: [0.0, 0.0], scale: self.shorter(), angle: 0.0 }
    }

    /// The shorter side in pixels.
    pub(super) fn shorter(&self) -> f32 {
        self.width.min(self.height) as f32
    }

    /// The picture's width and height in shorter sides.
    pub(super) fn extent(&self) -> [f32; 2] {
        [self.width as f32 / self.shorter(), self.height as f32 / self.shorter()]
    }

    /// The columns and rows within bounds: [left, right, top, bottom), in the picture.
    pub(super) fn clip(&self, bounds: Bounds) -> [usize; 4] {
        // A float becomes the nearest whole number that the type has: what lies outside becomes 0.
        let clip = |at: f32, end: usize| (at as usize).min(end);
        [
            clip(bounds.left.floor(), self.width),
            clip(bounds.right.ceil(), self.width),
            clip(bounds.top.floor(), self.height),
            clip(bounds.bottom.ceil(), self.height),
        ]
    }

    /// Changes each pixel within bounds, given its middle.
    pub(super) fn touch(&mut self, bounds: Bounds, change: impl Fn(f32, f32, &mut Colour)) {
        let [left, right, top, bottom] = self.clip(bounds);
        for row in top..bottom {
            let pixels = &mut self.pixels[row * self.width..][..self.width];
            for (column, pixel) in pixels.iter_mut().enumerate().take(right).skip(left) {
                change(column as f32 + 0.5, row as f32 + 0.5, pixel);
            }
        }
    }

    /// Changes every pixel, given its middle.
    pub(super) fn touch_all(&mut self, change: impl Fn(f32, f32, &mut Colour)) {
        let (right, bottom) = (self.width as f32, self.height as f32);
        self.touch(Bounds { left: 0.0, top: 0.0, right, bottom }, change);
    }

    /// Draws in `frame`'s units.
    pub(super) fn pen(&mut self, frame: Frame) -> Pen<'_> {
        Pen { canvas: self, frame }
    }
}

impl Frame {
    /// Where a point of this frame lies in the picture.
    pub(super) fn place(&self, point: [f32; 2]) -> [f32; 2] {
        let (sin, cos) = self.angle.sin_cos();
        let [u, v] = point.map(|t| t * self.scale);
        [self.origin[0] + u * cos - v * sin, self.origin[1] + u * sin + v * cos]
    }

    /// The way back: from the picture into this frame.
    pub(super) fn inverse(&self) -> impl Fn(f32, f32) -> [f32; 2] + use<> {
        let (sin, cos) = self.angle.sin_cos();
        let (origin, scale) = (self.origin, 1.0 / self.scale);
        move |x, y| {
            let (dx, dy) = ((x - origin[0]) * scale, (y - origin[1]) * scale);
            [dx * cos + dy * sin, dy * cos - dx * sin]
        }
    }

    /// A frame within this one.
    pub(super) fn child(&self, origin: [f32; 2], scale: f32, angle: f32) -> Self {
        Self { origin: self.place(origin), scale: self.scale * scale, angle: self.angle + angle }
    }
}

/// An upright ellipse: middle and half axes.
pub(super) fn oval(x: f32, y: f32, half_width: f32, half_height: f32) -> Oval {
    Oval { centre: [x, y], radii: [half_width, half_height], angle: 0.0 }
}

impl Oval {
    /// The same ellipse, turned clockwise.
    pub(super) fn turned(self, angle: f32) -> Self {
        Self { angle, ..self }
    }

    fn bounds(&self, inner: &Frame, margin: f32) -> Bounds {
        let [a, b] = self.radii;
        let corners = [[-a, -b], [a, -b], [a, b], [-a, b]];
        Bounds::around(&corners.map(|corner| inner.place(corner)), margin)
    }
}

impl Pen<'_> {
    /// One pixel, in this frame's units.
    pub(super) fn pixel(&self) -> f32 {
        1.0 / self.frame.scale
    }

    /// An ellipse of one colour, whose edge is `soft` units wide, a pixel at least.
    pub(super) fn ellipse(&mut self, oval: Oval, soft: f32, colour: Colour) {
        self.ellipse_with(oval, soft, |_| (colour, 1.0));
    }

    /// An ellipse whose colour and cover depend on the place: in [−1, 1] along both axes within it.
    pub(super) fn ellipse_with(
        &mut self,
        oval: Oval,
        soft: f32,
        paint: impl Fn([f32; 2]) -> (Colour, f32),
    ) {
        let inner = self.frame.child(oval.centre, 1.0, oval.angle);
        let soft = soft.max(self.pixel());
        let (local, [a, b]) = (inner.inverse(), oval.radii);
        let bounds = oval.bounds(&inner, 0.5 * soft * self.frame.scale + 1.0);
        self.canvas.touch(bounds, |x, y, pixel| {
            let [u, v] = local(x, y);
            let (p, q) = (u / a, v / b);
            let radius = (p * p + q * q).sqrt();
            // The first order of the distance: the excess over the gradient's length.
            let gradient = ((p / a).powi(2) + (q / b).powi(2)).sqrt() / radius.max(1e-6);
            let cover = (0.5 - (radius - 1.0) / (gradient.max(1e-6) * soft)).clamp(0.0, 1.0);
            if cover > 0.0 {
                let (colour, opacity) = paint([p, q]);
                *pixel = mix(*pixel, colour, cover * opacity);
            }
        });
    }

    /// A soft spot of colour that ends at the ellipse: `strength` in its middle.
    pub(super) fn glow(&mut self, oval: Oval, strength: f32, colour: Colour) {
        self.spot(oval, |pixel, weight| *pixel = mix(*pixel, colour, strength * weight));
    }

    /// Light or shadow that ends at the ellipse: a factor in its middle, 1 at its edge.
    pub(super) fn shade(&mut self, oval: Oval, factor: Colour) {
        self.spot(oval, |pixel, weight| {
            for (value, f) in pixel.iter_mut().zip(factor) {
                *value *= 1.0 + (f - 1.0) * weight;
            }
        });
    }

    fn spot(&mut self, oval: Oval, change: impl Fn(&mut Colour, f32)) {
        let inner = self.frame.child(oval.centre, 1.0, oval.angle);
        let (local, [a, b]) = (inner.inverse(), oval.radii);
        self.canvas.touch(oval.bounds(&inner, 1.0), |x, y, pixel| {
            let [u, v] = local(x, y);
            let rest = 1.0 - (u / a).powi(2) - (v / b).powi(2);
            if rest > 0.0 {
                change(pixel, rest * rest);
            }
        });
    }
}
