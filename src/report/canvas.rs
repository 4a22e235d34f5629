//! What drawings are drawn on.
//!
//! Flows in: a page that can draw itself anywhere. Flows out: a file, SVG or PNG; its ending says which.

use crate::error::{Error, Result};
use plotters::chart::MeshStyle;
use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;
use std::path::Path;

/// A PNG is drawn larger by this factor, then reduced: its lines become smooth.
const OVERSAMPLING: u32 = 4;

pub(super) const FONT: &str = "sans-serif";
pub(super) const GREY: RGBColor = RGBColor(90, 90, 90);
pub(super) const GRID: RGBColor = RGBColor(228, 228, 228);
pub(super) const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 95, 168),
    RGBColor(214, 96, 20),
    RGBColor(52, 138, 82),
    RGBColor(125, 91, 166),
    RGBColor(150, 110, 40),
    RGBColor(60, 150, 170),
];

/// What drawing on a backend gives.
pub(super) type Drawn<DB> =
    std::result::Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// What can be drawn.
pub(super) trait Page {
    /// Width and height in pixels.
    const SIZE: (u32, u32);

    /// Draws on a white area of [`Page::SIZE`], all lengths multiplied by `scale`.
    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: u32) -> Drawn<DB>;
}

/// Draws a page into a file whose ending is `.svg` or `.png`, atomically.
pub(super) fn write<P: Page>(page: &P, path: &Path) -> Result<()> {
    font()?;
    let file = if vector(path)? { svg(page).map(String::into_bytes) } else { png(page) };
    let file = file.map_err(|reason| Error::Invalid(format!("{}: {reason}", path.display())))?;
    Ok(weights_tools::write_file(path, file)?)
}

/// A page as the text of an SVG drawing, to stand within another page.
pub(super) fn svg_text<P: Page>(page: &P) -> Result<String> {
    font()?;
    svg(page).map_err(Error::Invalid)
}

/// Makes the program's own font the one that labels are measured and drawn with.
pub(super) fn font() -> Result<()> {
    plotters::style::register_font(FONT, FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| Error::Invalid("the font of the program is damaged".into()))
}

/// Whether a drawing can be written into a file of this name.
pub fn check_ending(path: &Path) -> Result<()> {
    vector(path).map(drop)
}

/// Whether the name is that of a vector drawing, `.svg`, or of a bitmap, `.png`.
fn vector(path: &Path) -> Result<bool> {
    match path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase().as_str() {
        "svg" => Ok(true),
        "png" => Ok(false),
        _ => Err(Error::Invalid(format!(
            "{}: curves are drawn as .svg or .png: name the file so",
            path.display()
        ))),
    }
}

fn svg<P: Page>(page: &P) -> std::result::Result<String, String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, P::SIZE).into_drawing_area();
    on_white(page, &area, 1).map_err(|e| e.to_string())?;
    drop(area);
    Ok(text)
}

fn png<P: Page>(page: &P) -> std::result::Result<Vec<u8>, String> {
    let picture = smooth(P::SIZE, |area, scale| on_white(page, area, scale))?;
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, image::ImageFormat::Png).map_err(|e| e.to_string())?;
    Ok(file.into_inner())
}

/// A bitmap of a size in pixels: `draw` draws it larger, by the factor that it is given.
pub(super) fn smooth(
    (width, height): (u32, u32),
    draw: impl FnOnce(&DrawingArea<BitMapBackend, Shift>, u32) -> Drawn<BitMapBackend<'static>>,
) -> std::result::Result<image::RgbImage, String> {
    let large = (width * OVERSAMPLING, height * OVERSAMPLING);
    let mut bitmap = image::RgbImage::new(large.0, large.1);
    let area = BitMapBackend::with_buffer(&mut bitmap, large).into_drawing_area();
    draw(&area, OVERSAMPLING).map_err(|e| e.to_string())?;
    drop(area);
    Ok(image::imageops::thumbnail(&bitmap, width, height))
}

fn on_white<DB: DrawingBackend>(
    page: &impl Page,
    area: &DrawingArea<DB, Shift>,
    scale: u32,
) -> Drawn<DB> {
    area.fill(&WHITE)?;
    page.draw(area, scale)?;
    area.present()
}

/// The area below a title, within margins; all of it where there is none.
pub(super) fn titled<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    title: &str,
    scale: u32,
) -> std::result::Result<DrawingArea<DB, Shift>, DrawingAreaErrorKind<DB::ErrorType>> {
    let area = area.margin(8 * scale, 8 * scale, 8 * scale, 16 * scale);
    match title {
        "" => Ok(area),
        title => area.titled(title, (FONT, 22 * scale)),
    }
}

/// The names of a chart's curves, in a box.
pub(super) fn legend<'a, DB: DrawingBackend + 'a, CT: CoordTranslate>(
    chart: &mut ChartContext<'a, DB, CT>,
    position: SeriesLabelPosition,
    scale: u32,
) -> Drawn<DB> {
    chart
        .configure_series_labels()
        .position(position)
        .margin(8 * scale)
        .legend_area_size(26 * scale)
        .label_font((FONT, 14 * scale))
        .background_style(WHITE.mix(0.85))
        .border_style(GRID.stroke_width(scale))
        .draw()
}

/// A line through points.
///
/// Where thick lines of a bitmap meet at a sharp angle, their corner shoots far beyond the point: a bitmap
/// has each segment alone.
pub(super) fn line<P: Clone>(points: &[P], style: ShapeStyle, scale: u32) -> Vec<PathElement<P>> {
    match scale {
        1 => vec![PathElement::new(points, style)],
        _ => points.windows(2).map(|pair| PathElement::new(pair, style)).collect(),
    }
}

/// A straight line of dashes that are as long as the gaps between them.
pub(super) fn dashes(
    from: (f64, f64),
    to: (f64, f64),
    count: u32,
    style: ShapeStyle,
) -> impl Iterator<Item = PathElement<(f64, f64)>> {
    let at = move |part: u32| {
        let share = f64::from(part) / f64::from(2 * count - 1);
        (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
    };
    (0..count).map(move |dash| PathElement::new([at(2 * dash), at(2 * dash + 1)], style))
}

/// A number, to four digits.
pub(super) fn number(value: f64) -> String {
    let rounded = format!("{value:.3e}").parse().unwrap_or(value);
    match rounded.abs() {
        0.0 => "0".into(),
        1e-4..1e6 => rounded.to_string(),
        _ => format!("{rounded:e}"),
    }
}

/// The look of axes and grid that all drawings share.
pub(super) fn style<'m, 'a, 'b, X: Ranged, Y: Ranged, DB: DrawingBackend>(
    mesh: &'m mut MeshStyle<'a, 'b, X, Y, DB>,
    scale: u32,
) -> &'m mut MeshStyle<'a, 'b, X, Y, DB> {
    mesh.max_light_lines(1)
        .bold_line_style(GRID.stroke_width(scale))
        .light_line_style(TRANSPARENT)
        .axis_style(GREY.stroke_width(scale))
        .label_style((FONT, 14 * scale))
        .axis_desc_style((FONT, 15 * scale))
        .set_all_tick_mark_size(5 * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let labels = [0.0, 0.1 + 0.2, 1e-5, 0.0001, 1500.0, 2.5e7, -0.25].map(number);
        assert_eq!(labels, ["0", "0.3", "1e-5", "0.0001", "1500", "2.5e7", "-0.25"]);
    }
}
