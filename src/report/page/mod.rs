//! A page that tells a whole study.
//!
//! Flows in: a title, figures, and sections of text, tables, drawings and pictures. Flows out: one HTML file that
//! needs nothing beside it: pictures are in it, it loads nothing, and a reader needs no scripts.
//!
//! ```text
//! Page ─┬ head: style, policy (nothing may be loaded)
//!       ├ title, banner, headline figures, contents
//!       └ sections → blocks (text, table, drawing, pictures) → embed (SVG checked, files as data)
//! ```
//!
//! Text is only text: whatever stands in it, none of it is taken for HTML.

mod blocks;
mod embed;

use super::table::Table;
use crate::error::Result;
use embed::text;
use std::fmt::Write as _;
use std::path::Path;

/// From so many sections on, a page lists its contents.
const CONTENTS_FROM: usize = 3;

/// What may be loaded: nothing; pictures and style are in the page.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// A page; parts that are empty are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What it is about.
    pub title: String,
    /// One line below the title.
    pub subtitle: String,
    /// What a reader must know before all else, such as that the photos are drawn.
    pub banner: String,
    /// The numbers that matter most.
    pub figures: Vec<Headline>,
    /// What there is to tell, in order.
    pub sections: Vec<Section>,
    /// One line at the end, such as what made the page and from what.
    pub footer: String,
}

/// A number that is shown large.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headline {
    /// The number, with its unit.
    pub value: String,
    /// What it is.
    pub label: String,
    /// How it is meant, such as an interval or what to compare it with.
    pub note: String,
}

/// A part of a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// What it is about.
    pub heading: String,
    /// What stands below the heading, in order.
    pub blocks: Vec<Block>,
}

/// Something below a heading.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A heading within the section.
    Heading(String),
    /// Running text.
    Paragraph(String),
    /// Items in any order.
    List(Vec<String>),
    /// Text whose spaces and lines stay as they are.
    Preformatted(String),
    /// Rows and columns.
    Table {
        /// The cells.
        table: Table,
        /// What they are.
        caption: String,
    },
    /// A drawing of lines and text, such as [`crate::report`]'s `_svg` functions give.
    Drawing {
        /// The text of the SVG drawing.
        svg: String,
        /// What it shows, for those who do not see it.
        alternative: String,
        /// One line below it.
        caption: String,
    },
    /// A large picture.
    Picture(EmbeddedPicture),
    /// Small pictures side by side.
    Thumbnails(Vec<EmbeddedPicture>),
}

/// A picture within a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmbeddedPicture {
    /// A PNG, JPEG, WebP or GIF file.
    pub file: Vec<u8>,
    /// What it shows, for those who do not see it.
    pub alternative: String,
    /// Lines below it.
    pub caption: String,
}

impl Page {
    /// The page as HTML.
    ///
    /// Fails on a drawing that is not SVG or has more in it than shapes and text, and on a picture's file that
    /// no browser shows.
    pub fn html(&self) -> Result<String> {
        let mut html = String::new();
        self.head(&mut html);
        self.opening(&mut html);
        for (number, section) in (1..).zip(&self.sections) {
            let heading = text(&section.heading);
            let _ = write!(
                html,
                "<section aria-labelledby=\"section-{number}\">\n\
                 <h2 id=\"section-{number}\">{heading}</h2>\n"
            );
            for block in &section.blocks {
                html.push_str(&block.html()?);
            }
            html.push_str("</section>\n");
        }
        html.push_str("</main>\n");
        if !self.footer.is_empty() {
            let _ = writeln!(html, "<footer><p>{}</p></footer>", text(&self.footer));
        }
        html.push_str("</body>\n</html>\n");
        Ok(html)
    }

    /// Writes the page into a file, atomically.
    ///
    /// Fails as [`Page::html`] does, and where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(weights_tools::write_file(path, self.html()?)?)
    }

    fn head(&self, html: &mut String) {
        let (title, style) = (text(&self.title), include_str!("style.css"));
        let _ = write!(
            html,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        );
    }

    /// What stands before the first section.
    fn opening(&self, html: &mut String) {
        let _ = write!(html, "<header>\n<h1>{}</h1>\n", text(&self.title));
        if !self.subtitle.is_empty() {
            let _ = writeln!(html, "<p class=\"subtitle\">{}</p>", text(&self.subtitle));
        }
        if !self.banner.is_empty() {
            let _ = writeln!(html, "<p class=\"banner\" role=\"note\">{}</p>", text(&self.banner));
        }
        html.push_str("</header>\n<main>\n");
        if !self.figures.is_empty() {
            let figures: String = self.figures.iter().map(Headline::html).collect();
            let _ = write!(html, "<dl class=\"figures\">\n{figures}</dl>\n");
        }
        if self.sections.len() >= CONTENTS_FROM {
            html.push_str("<nav aria-label=\"Contents\">\n<ol>\n");
            for (number, section) in (1..).zip(&self.sections) {
                let heading = text(&section.heading);
                let _ = writeln!(html, "<li><a href=\"#section-{number}\">{heading}</a></li>");
            }
            html.push_str("</ol>\n</nav>\n");
        }
    }
}

impl Headline {
    fn html(&self) -> String {
        let [value, label, note] = [&self.value, &self.label, &self.note].map(|part| text(part));
        let note = match note.as_str() {
            "" => String::new(),
            note => format!("<dd class=\"note\">{note}</dd>"),
        };
        format!("<div><dt>{label}</dt><dd class=\"value\">{value}</dd>{note}</div>\n")
    }
}

#[cfg(test)]
mod tests;
