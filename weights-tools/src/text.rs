//! prototxt text in, typed messages out.

use std::borrow::Cow;
use std::path::Path;

use miette::Diagnostic as _;
use prost::Message;
use prost_reflect::DynamicMessage;
use prost_reflect::text_format::ParseError;

use crate::schema::{descriptor, proto};
use crate::{Error, scan};

/// Parses a net's prototxt, of any generation (see [`crate::upgrade`]). `file` is for messages.
pub fn parse_net_text(file: &str, text: &str) -> Result<proto::NetParameter, Error> {
    parse(file, text, "NetParameter")
}

/// Parses a solver's prototxt. `file` is for messages.
pub fn parse_solver_text(file: &str, text: &str) -> Result<proto::SolverParameter, Error> {
    parse(file, text, "SolverParameter")
}

/// Reads and parses a net's prototxt; gives the text back for [`crate::TextIndex`].
pub fn read_net_text(path: &Path) -> Result<(proto::NetParameter, String), Error> {
    let text = read_text(path)?;
    Ok((parse_net_text(&path.display().to_string(), &text)?, text))
}

/// Reads and parses a solver's prototxt; gives the text back for messages.
pub fn read_solver_text(path: &Path) -> Result<(proto::SolverParameter, String), Error> {
    let text = read_text(path)?;
    Ok((parse_solver_text(&path.display().to_string(), &text)?, text))
}

/// Reads a file that should be text; one that is not is an error that names the line.
pub fn read_text(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        Error::Text {
            file: path.display().to_string(),
            line: 1 + good.iter().filter(|&&b| b == b'\n').count(),
            field: String::new(),
            problem: "not UTF-8 text; is this a binary file, or a comment in another encoding?"
                .to_owned(),
        }
    })
}

fn parse<M: Message + Default>(file: &str, text: &str, message: &str) -> Result<M, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((at, problem)) = scan::excess(text) {
        return Err(Error::Text {
            file: file.to_owned(),
            line: scan::line_of(text, at),
            field: String::new(),
            problem,
        });
    }
    let text = with_list_colons(text);
    let dynamic = DynamicMessage::parse_text_format(descriptor(message)?, &text)
        .map_err(|e| located(file, &text, &e))?;
    dynamic.transcode_to().map_err(|e| Error::damaged(file, e.to_string()))
}

/// The parser wants `layer: [` where the format also allows `layer [`. Lines stay as they are.
fn with_list_colons(text: &str) -> Cow<'_, str> {
    let places = scan::lists_without_colon(text);
    if places.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut changed = String::with_capacity(text.len() + places.len());
    let mut done = 0;
    for at in places {
        changed.push_str(&text[done..at]);
        changed.push(':');
        done = at;
    }
    changed.push_str(&text[done..]);
    Cow::Owned(changed)
}

/// Turns the parser's byte offset into line and field. Without one, the text ended too early.
fn located(file: &str, text: &str, error: &ParseError) -> Error {
    let offset = error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    let mut problem = error.to_string();
    if let Some(help) = error.help() {
        problem = format!("{problem} ({help})");
    }
    let offset = offset.unwrap_or(text.trim_end().len());
    Error::Text {
        file: file.to_owned(),
        line: scan::line_of(text, offset),
        field: scan::field_at(text, offset),
        problem,
    }
}
