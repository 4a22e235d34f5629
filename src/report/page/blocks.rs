//! Blocks of a page, as HTML.
//!
//! Flows in: text, tables, drawings, pictures. Flows out: elements that stand below a section's heading.

use super::embed::{drawing, image, text};
use super::{Block, EmbeddedPicture};
use crate::error::Result;

impl Block {
    /// The block's elements.
    ///
    /// Fails on a drawing or a picture that cannot be embedded.
    pub(super) fn html(&self) -> Result<String> {
        Ok(match self {
            Self::Heading(heading) => format!("<h3>{}</h3>\n", text(heading)),
            Self::Paragraph(paragraph) => format!("<p>{}</p>\n", text(paragraph)),
            Self::List(items) => {
                let item = |item: &String| format!("<li>{}</li>\n", text(item));
                format!(
                    "<ul class=\"list\">\n{}</ul>\n",
                    items.iter().map(item).collect::<String>()
                )
            }
            Self::Preformatted(lines) => {
                format!("<pre tabindex=\"0\">{}</pre>\n", text(lines))
            }
            Self::Table { table, caption } => {
                let inner = format!(
                    "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Table\">\n{}</div>",
                    table.html()
                );
                figure("table", &inner, caption)
            }
            Self::Drawing { svg, alternative, caption } => {
                let inner = format!(
                    "<div class=\"card\" tabindex=\"0\" role=\"group\" aria-label=\"Drawing\">{}</div>",
                    drawing(svg, alternative)?
                );
                figure("drawing", &inner, caption)
            }
            Self::Picture(picture) => picture.html("picture")?,
            Self::Thumbnails(pictures) => {
                let item = |picture: &EmbeddedPicture| {
                    Ok(format!("<li>{}</li>\n", picture.html("thumbnail")?.trim_end()))
                };
                let items: String = pictures.iter().map(item).collect::<Result<_>>()?;
                format!("<ul class=\"thumbnails\">\n{items}</ul>\n")
            }
        })
    }
}

impl EmbeddedPicture {
    fn html(&self, class: &str) -> Result<String> {
        Ok(figure(class, &image(&self.file, &self.alternative)?, &self.caption))
    }
}

/// Something with a caption below it.
fn figure(class: &str, inner: &str, caption: &str) -> String {
    let caption = match caption {
        "" => String::new(),
        caption => format!("\n<figcaption>{}</figcaption>", text(caption)),
    };
    format!("<figure class=\"{class}\">{inner}{caption}</figure>\n")
}
