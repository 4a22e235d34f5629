//! A contact sheet: many photos at one glance.
//!
//! Flows in: up to 25 tiles, each with a picture, two short lines and what is thought of it. Flows out: one
//! picture, five tiles a row below a title.

use super::canvas::{COLOURS, FONT, font, smooth};
use super::thumbnail::square_thumbnail;
use crate::error::{Error, Result};
use crate::image::{Picture, Size};
use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Tiles of a row, and of a sheet at most.
const COLUMNS: usize = 5;
const MOST: usize = 25;

/// Lengths in pixels: around all tiles, between two, of a picture, of a bar below it, of the air and
/// the lines of a caption below that, of the title.
const MARGIN: usize = 40;
const GAP: usize = 22;
const SIDE: usize = 232;
const BAR: usize = 6;
const AIR: usize = 6;
const LINES: [usize; 2] = [22, 22];
const TITLE: usize = 60;

/// From the top of a tile to that of the tile below.
const STEP: usize = SIDE + BAR + AIR + LINES[0] + LINES[1] + GAP;

const PAPER: RGBColor = RGBColor(247, 245, 240);
const EMPTY: RGBColor = RGBColor(236, 233, 226);
const EDGE: RGBColor = RGBColor(214, 210, 201);
const INK: RGBColor = RGBColor(42, 44, 50);
const SOFT: RGBColor = RGBColor(104, 106, 114);
const GOOD: RGBColor = COLOURS[2];
const BAD: RGBColor = COLOURS[1];

/// One photo of a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The photo, of any size; without one the tile says "missing".
    pub picture: Option<Picture>,
    /// Two lines below it; what is too long is cut.
    pub caption: [String; 2],
    /// The colour of the bar between the two: green for true, orange for false, none where it is not known.
    pub good: Option<bool>,
}

/// A sheet of 1 to 25 tiles in their order, row by row, each photo cut to the square in its middle.
///
/// Fails on no or more tiles and where a picture's fields contradict each other.
pub fn contact_sheet(tiles: &[Tile], title: &str) -> Result<Picture> {
    if !(1..=MOST).contains(&tiles.len()) {
        let reason = format!("{} tiles: a contact sheet has 1 to {MOST}", tiles.len());
        return Err(Error::Invalid(reason));
    }
    font()?;
    let (y, _) = place(tiles.len() - 1, title);
    let width = 2 * MARGIN + COLUMNS * SIDE + (COLUMNS - 1) * GAP;
    let mut sheet = plain(Size::new(y + STEP - GAP + MARGIN, width), PAPER);
    if !title.is_empty() {
        let line = Line { text: title, size: 30, ink: INK, paper: PAPER, centred: false };
        paste(
            &line.picture(Size::new(TITLE, width - 2 * MARGIN))?,
            (MARGIN - 12, MARGIN),
            &mut sheet,
        );
    }
    for (i, tile) in tiles.iter().enumerate() {
        tile.paste(place(i, title), &mut sheet)?;
    }
    Ok(sheet)
}

/// The row and column of pixels where tile `i` begins.
fn place(i: usize, title: &str) -> (usize, usize) {
    let top = if title.is_empty() { MARGIN } else { MARGIN + TITLE };
    (top + i / COLUMNS * STEP, MARGIN + i % COLUMNS * (SIDE + GAP))
}

impl Tile {
    /// Picture, bar and caption, at a row and a column of a sheet.
    fn paste(&self, (y, x): (usize, usize), sheet: &mut Picture) -> Result<()> {
        let square = self.picture.as_ref().map(|picture| square_thumbnail(picture, SIDE));
        paste(&square.unwrap_or_else(missing)?, (y, x), sheet);
        if let Some(good) = self.good {
            let bar = plain(Size::new(BAR, SIDE), if good { GOOD } else { BAD });
            paste(&bar, (y + SIDE, x), sheet);
        }
        let mut top = y + SIDE + BAR + AIR;
        for ((text, height), (size, ink)) in
            self.caption.iter().zip(LINES).zip([(17, INK), (15, SOFT)])
        {
            let line = Line { text, size, ink, paper: PAPER, centred: false };
            paste(&line.picture(Size::new(height, SIDE))?, (top, x), sheet);
            top += height;
        }
        Ok(())
    }
}

/// The empty frame of a photo that is not there.
fn missing() -> Result<Picture> {
    let mut frame = plain(Size::square(SIDE), EDGE);
    let line = Line { text: "missing", size: 17, ink: SOFT, paper: EMPTY, centred: true };
    paste(&line.picture(Size::square(SIDE - 2))?, (1, 1), &mut frame);
    Ok(frame)
}

/// A picture of one colour.
fn plain(size: Size, RGBColor(r, g, b): RGBColor) -> Picture {
    let data = [r, g, b].repeat(size.width * size.height);
    Picture { width: size.width, height: size.height, data }
}

/// Copies a small picture into a larger one, at a row and a column.
fn paste(small: &Picture, (y, x): (usize, usize), large: &mut Picture) {
    let rows = large.data.chunks_exact_mut(large.width * 3).skip(y);
    for (to, from) in rows.zip(small.data.chunks_exact(small.width * 3)) {
        to[x * 3..][..from.len()].copy_from_slice(from);
    }
}

/// A line of text.
struct Line<'a> {
    text: &'a str,
    /// Pixels of its letters.
    size: u32,
    ink: RGBColor,
    paper: RGBColor,
    /// In the middle of the width, not at its left.
    centred: bool,
}

impl Line<'_> {
    /// The line in the middle of a picture's height; what there is no room for ends with "…".
    fn picture(&self, size: Size) -> Result<Picture> {
        let pixels = (size.width as u32, size.height as u32);
        let written = smooth(pixels, |area, scale| {
            let (width, height) = (pixels.0 * scale, pixels.1 * scale);
            area.fill(&self.paper)?;
            let font = (FONT, self.size * scale).into_font();
            let (align, x) = match self.centred {
                true => (HPos::Center, width as i32 / 2),
                false => (HPos::Left, 0),
            };
            let anchor = Pos::new(align, VPos::Center);
            let style = TextStyle::from(font).color(&self.ink).pos(anchor);
            let text = fitting(area, self.text, &style, width)?;
            area.draw_text(&text, &style, (x, height as i32 / 2))
        });
        let written = written.map_err(|e| Error::Invalid(format!("contact sheet: {e}")))?;
        Ok(Picture::new(size, written.into_raw())?)
    }
}

/// As much of a line as there is room for.
fn fitting<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    text: &str,
    style: &TextStyle,
    room: u32,
) -> std::result::Result<String, DrawingAreaErrorKind<DB::ErrorType>> {
    // A pixel is the least that a letter takes: nobody has to measure a book.
    let mut fitting: String = text.chars().take(room as usize).collect();
    let mut shown = fitting.clone();
    if fitting.len() < text.len() {
        shown.push('…');
    }
    while area.estimate_text_size(&shown, style)?.0 > room && fitting.pop().is_some() {
        shown = format!("{}…", fitting.trim_end());
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(colour: [u8; 3], good: Option<bool>) -> Tile {
        let picture = Picture::new(Size::new(20, 30), colour.repeat(600)).unwrap();
        Tile { picture: Some(picture), caption: Default::default(), good }
    }

    fn rgb(RGBColor(r, g, b): RGBColor) -> [u8; 3] {
        [r, g, b]
    }

    #[test]
    fn tiles_lie_row_by_row_with_their_bars() {
        let colours = [[250, 0, 0], [0, 250, 0], [0, 0, 250], [9, 9, 9], [99, 99, 99], [1, 2, 3]];
        let goods = [Some(true), Some(false), None];
        let tiles: Vec<_> = (0..6).map(|i| tile(colours[i], goods[i % 3])).collect();
        let sheet = contact_sheet(&tiles, "").unwrap();
        assert_eq!((sheet.width, sheet.height), (1328, 678));
        for (i, colour) in colours.into_iter().enumerate() {
            let (top, left) = (40 + 310 * (i / 5), 40 + 254 * (i % 5));
            for (y, x) in [(0, 0), (0, 231), (231, 0), (231, 231)] {
                assert_eq!(sheet.pixel(top + y, left + x), colour, "tile {i}");
            }
            assert_eq!(sheet.pixel(top, left - 1), rgb(PAPER));
            let bar = [GOOD, BAD, PAPER][i % 3];
            assert_eq!(sheet.pixel(top + 232, left), rgb(bar), "tile {i}");
            assert_eq!(sheet.pixel(top + 237, left + 231), rgb(bar), "tile {i}");
            assert_eq!(sheet.pixel(top + 238, left + 231), rgb(PAPER));
        }
    }

    #[test]
    fn what_is_missing_and_captions_are_written() {
        let dark = |sheet: &Picture, y: std::ops::Range<usize>| {
            let rows = sheet.data.chunks_exact(sheet.width * 3).take(y.end).skip(y.start);
            rows.flat_map(|row| row.chunks_exact(3)).filter(|pixel| pixel[0] < 150).count()
        };
        let caption = ["1 · 0.93".to_string(), "liked".to_string()];
        let missing = Tile { picture: None, caption, good: None };
        let sheet = contact_sheet(std::slice::from_ref(&missing), "first 25").unwrap();
        assert_eq!(sheet.height, 40 + 60 + 232 + 6 + 50 + 40);
        assert!(dark(&sheet, 40..100) > 100, "no title");
        assert!(dark(&sheet, 200..230) > 100, "not said to be missing");
        assert!(dark(&sheet, 338..366) > 50 && dark(&sheet, 366..388) > 50, "no caption");
        let bare = Tile { caption: Default::default(), ..missing };
        assert_eq!(dark(&contact_sheet(&[bare], "").unwrap(), 270..368), 0);
    }

    #[test]
    fn long_lines_stay_on_their_tile() {
        let caption = ["wide words ".repeat(1000), "W".repeat(40)];
        let sheet = contact_sheet(&[Tile { picture: None, caption, good: None }], "").unwrap();
        let beside = |pixel: &[u8]| pixel == rgb(PAPER);
        let rows = sheet.data.chunks_exact(sheet.width * 3).skip(278);
        assert!(rows.flat_map(|row| row.chunks_exact(3).skip(274)).all(beside));
    }

    #[test]
    fn what_is_no_sheet_is_refused() {
        let error = |tiles: &[Tile]| contact_sheet(tiles, "").unwrap_err().to_string();
        assert!(error(&[]).contains("0 tiles"));
        assert!(error(&vec![tile([0; 3], None); 26]).contains("26 tiles"));
        let mut broken = tile([0; 3], None);
        broken.picture.as_mut().unwrap().data.pop();
        contact_sheet(&[broken], "").unwrap_err();
    }
}
