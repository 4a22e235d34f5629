//! What a page takes into itself.
//!
//! Flows in: text, SVG drawings, picture files from anywhere. Flows out: HTML that shows them and does nothing
//! else.

use super::super::table::escape;
use crate::error::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, ImageReader};
use std::io::Cursor;

/// What drawings consist of.
const SHAPES: [&str; 9] =
    ["svg", "g", "rect", "circle", "line", "polyline", "polygon", "path", "text"];

/// Text as HTML shows it; control characters, which HTML forbids, become replacement characters.
pub(super) fn text(text: &str) -> String {
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    escape(&text.replace(control, "\u{fffd}"))
}

/// The element of a drawing.
///
/// Fails unless it is well-formed SVG of shapes and text only: no scripts, no links, nothing from elsewhere.
pub(super) fn drawing(svg: &str, alternative: &str) -> Result<String> {
    let wrong = |reason: String| Error::Invalid(format!("a drawing of the page: {reason}"));
    let document = roxmltree::Document::parse(svg).map_err(|e| wrong(e.to_string()))?;
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        if !SHAPES.contains(&name) {
            return Err(wrong(format!("<{name}> is neither a shape nor text")));
        }
        if let Some(attribute) = node.attributes().find(acts) {
            return Err(wrong(format!("<{name}> has {}: only shapes and text", attribute.name())));
        }
    }
    // Comments and the like end elsewhere in HTML than in XML.
    match svg.trim().strip_prefix("<svg") {
        Some(rest) if !rest.contains("<!") && !rest.contains("<?") => {
            Ok(format!("<svg role=\"img\" aria-label=\"{}\"{rest}", text(alternative)))
        }
        _ => Err(wrong("it does not begin with <svg, or has comments".into())),
    }
}

/// Whether an attribute runs something, leads somewhere or brings a style along; names as HTML takes them, in
/// any case.
fn acts(attribute: &roxmltree::Attribute) -> bool {
    let name = attribute.name().to_ascii_lowercase();
    name.starts_with("on")
        || matches!(name.as_str(), "href" | "style")
        || attribute.value().to_ascii_lowercase().contains("url(")
}

/// The element of a picture, which holds the whole file.
///
/// Fails on a file that is no PNG, JPEG, WebP or GIF.
pub(super) fn image(file: &[u8], alternative: &str) -> Result<String> {
    let wrong = |reason: String| Error::Invalid(format!("a picture of the page: {reason}"));
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format();
    let reader = reader.map_err(|e| wrong(e.to_string()))?;
    let media = match reader.format() {
        Some(ImageFormat::Png) => "png",
        Some(ImageFormat::Jpeg) => "jpeg",
        Some(ImageFormat::WebP) => "webp",
        Some(ImageFormat::Gif) => "gif",
        _ => return Err(wrong("its file is no PNG, JPEG, WebP or GIF".into())),
    };
    let (width, height) = reader.into_dimensions().map_err(|e| wrong(e.to_string()))?;
    let (alternative, data) = (text(alternative), STANDARD.encode(file));
    Ok(format!(
        "<img width=\"{width}\" height=\"{height}\" alt=\"{alternative}\" \
         src=\"data:image/{media};base64,{data}\">"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Picture, Size};
    use crate::report::thumbnail::{encode_jpeg, encode_png};

    #[test]
    fn text_is_only_text() {
        assert_eq!(
            text("a<b> & \"c\"\n\u{0}\u{1b}"),
            "a&lt;b&gt; &amp; &quot;c&quot;\n\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn pictures_are_whole() {
        let picture = Picture::new(Size::new(2, 3), (0..18).collect()).unwrap();
        for (media, file) in
            [("png", encode_png(&picture).unwrap()), ("jpeg", encode_jpeg(&picture, 90).unwrap())]
        {
            let element = image(&file, "two \"rows\"").unwrap();
            let start = format!(
                "<img width=\"3\" height=\"2\" alt=\"two &quot;rows&quot;\" src=\"data:image/{media};base64,"
            );
            let data = element.strip_prefix(&start).unwrap().strip_suffix("\">").unwrap();
            assert_eq!(STANDARD.decode(data).unwrap(), file);
        }
    }

    #[test]
    fn a_known_file_becomes_its_known_data() {
        // The GIF of one pixel that stands in many pages.
        let file = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0\
                     ,\0\0\0\0\x01\0\x01\0\0\x02\x01D\0;";
        let data = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
        let element = image(file, "").unwrap();
        assert!(element.ends_with(&format!(" src=\"data:image/gif;base64,{data}\">")), "{element}");
    }

    #[test]
    fn drawings_say_what_they_show() {
        let svg = "<svg width=\"2\" xmlns=\"http://www.w3.org/2000/svg\">\n<text>a</text></svg>\n";
        let want = "<svg role=\"img\" aria-label=\"a &lt; b\" width=\"2\" \
                    xmlns=\"http://www.w3.org/2000/svg\">\n<text>a</text></svg>";
        assert_eq!(drawing(svg, "a < b").unwrap(), want);
    }

    #[test]
    fn what_acts_is_no_drawing() {
        for (svg, reason) in [
            ("<svg><script>1</script></svg>", "<script> is neither"),
            ("<svg><rect onclick=\"f()\"/></svg>", "<rect> has onclick"),
            (
                "<svg xmlns:x=\"http://www.w3.org/1999/xlink\"><g x:href=\"http://a\"/></svg>",
                "href",
            ),
            ("<svg><rect ONLOAD=\"f()\"/></svg>", "<rect> has ONLOAD"),
            ("<svg><rect fill=\"URL(http://a)\"/></svg>", "<rect> has fill"),
            ("<svg><!-- a --></svg>", "comments"),
            ("<svg><text><![CDATA[<b>]]></text></svg>", "comments"),
            ("<svg><image/></svg>", "<image> is neither"),
            ("<svg><foreignObject/></svg>", "neither"),
            ("<html></html>", "<html> is neither"),
            ("<g/>", "does not begin with <svg"),
            ("<svg>", "a drawing of the page"),
            ("", "a drawing of the page"),
        ] {
            let error = drawing(svg, "").unwrap_err().to_string();
            assert!(error.contains(reason), "{svg}: {error}");
        }
        for file in [&b"BM"[..], b"", b"<svg/>"] {
            assert!(image(file, "").unwrap_err().to_string().contains("no PNG, JPEG, WebP or GIF"));
        }
        image(b"\x89PNG\r\n\x1a\n", "").unwrap_err();
    }
}
