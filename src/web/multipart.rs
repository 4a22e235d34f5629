//! The photos in a body of `multipart/form-data` (RFC 7578). Flows in: the whole body. Flows out: its parts, which share the
//! body's memory.
//!
//! ```text
//! --boundary CRLF headers CRLF CRLF content CRLF --boundary … --boundary--
//! ```

use super::refusal::Refusal;
use axum::body::Bytes;

/// The longest headers of a part, in bytes.
const LONGEST_HEADERS: usize = 4096;

/// A part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The field's name.
    pub name: String,
    /// What the sender calls the file; nothing is done with it but to say it back.
    pub file: Option<String>,
    /// What was sent.
    pub content: Bytes,
}

/// The boundary that a `Content-Type` names, where it is that of a form.
pub(super) fn boundary(content_type: &str) -> Option<Result<String, Refusal>> {
    let (media, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(parameters, "boundary");
    // RFC 2046 allows 1 to 70 characters.
    let good = boundary.filter(|b| {
        (1..=70).contains(&b.len()) && b.bytes().all(|c| c.is_ascii() && !c.is_ascii_control())
    });
    Some(good.ok_or_else(|| wrong("its boundary is missing, or none that can be")))
}

/// The parts of a form, at most so many.
pub(super) fn parts(body: &Bytes, boundary: &str, most: usize) -> Result<Vec<Part>, Refusal> {
    let open = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    // What stands before the first boundary means nothing.
    let first = match body.starts_with(open.as_bytes()) {
        true => open.len(),
        false => {
            find(body, between.as_bytes(), 0).ok_or_else(|| wrong("its boundary is not in it"))?
                + between.len()
        }
    };
    let (mut at, mut found) = (first, vec![]);
    loop {
        let rest = after_blanks(&body[at..]);
        if rest.starts_with(b"--") {
            return Ok(found);
        }
        if !rest.starts_with(b"\r\n") {
            return Err(wrong("a boundary is not followed by the end of its line"));
        }
        at = body.len() - rest.len();
        if found.len() == most {
            return Err(Refusal::too_large(
                "too_many_photos",
                format!("the form has more than {most} parts; send fewer at once"),
            ));
        }
        let window = &body[at..body.len().min(at + LONGEST_HEADERS)];
        // The line's end before the headers counts as the first of the two that end them: there may be none.
        let length = find(window, b"\r\n\r\n", 0)
            .ok_or_else(|| wrong("the headers of a part have no end, or are too long"))?;
        let (name, file) = disposition(&body[at..at + length])?;
        let start = at + length + 4;
        // An empty content begins with the line's end that belongs to the next boundary.
        let end = find(body, between.as_bytes(), start.saturating_sub(2))
            .ok_or_else(|| wrong("it is cut off: its last boundary is missing"))?;
        found.push(Part { name, file, content: body.slice(start.min(end)..end) });
        at = end + between.len();
    }
}

fn wrong(what: &str) -> Refusal {
    Refusal::bad("bad_form", format!("the body is no form: {what}"))
}

/// The field's name and the file's, from a part's headers.
fn disposition(headers: &[u8]) -> Result<(String, Option<String>), Refusal> {
    let headers = String::from_utf8_lossy(headers);
    let line = headers.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let (kind, parameters) = line.and_then(|line| line.split_once(';')).unwrap_or(("", ""));
    let name = parameter(parameters, "name");
    match name {
        Some(name) if kind.trim().eq_ignore_ascii_case("form-data") => {
            Ok((name, parameter(parameters, "filename")))
        }
        _ => Err(wrong("a part has no Content-Disposition with a name")),
    }
}

/// A parameter of a header: `name=value` or `name="value"`, with the escapes that browsers write.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=')?;
        let name = name.trim_matches([' ', '\t', ';']);
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let mut escaped = false;
                let end = quoted.find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                })?;
                (quoted[..end].replace("\\\"", "\"").replace("%22", "\""), &quoted[end + 1..])
            }
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value[..end].trim().to_string(), &value[end..])
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
    None
}

/// Where a pattern is found, from `from` on.
fn find(text: &[u8], pattern: &[u8], from: usize) -> Option<usize> {
    let first = *pattern.first()?;
    let mut at = from;
    loop {
        at += text.get(at..)?.iter().position(|&byte| byte == first)?;
        if text[at..].starts_with(pattern) {
            return Some(at);
        }
        at += 1;
    }
}

/// Text after blanks, which may follow a boundary.
fn after_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    &text[blanks..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<Part>, Refusal> {
        parts(&Bytes::copy_from_slice(body.as_bytes()), "b", 2)
    }

    fn part(name: &str, file: Option<&str>, content: &'static str) -> Part {
        Part { name: name.into(), file: file.map(Into::into), content: Bytes::from(content) }
    }

    #[test]
    fn a_form_by_hand() {
        let form = "before\r\n--b \r\nContent-Type: image/png\r\ncontent-DISPOSITION: form-data; \
                    filename=\"a;\\\"=.png\" ; name=photo\r\n\r\none\r\n--c\r\n\
                    \r\n--b\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n\r\n--b--after";
        let wanted = [part("photo", Some("a;\"=.png"), "one\r\n--c\r\n"), part("", None, "")];
        assert_eq!(read(form).expect("a form"), wanted);
        assert_eq!(read("--b--").expect("a form"), []);
    }

    #[test]
    fn nonsense_is_refused() {
        let head = "Content-Disposition: form-data; name=a\r\n\r\n";
        for body in [
            String::new(),
            "--b".into(),
            "--c--".into(),
            "--b\r\n".into(),
            "--bx\r\n".into(),
            format!("--b\r\n{head}"),
            format!("--b\r\n{head}x\r\n--"),
            format!("--b\r\n{head}x\r\n--b"),
            format!("--b\r\n{head}x\r\n--b\r"),
            "--b\r\n\r\n\r\nx\r\n--b--".into(),
            "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--".into(),
            "--b\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--b--".into(),
            format!("--b\r\nX: {}\r\n{head}x\r\n--b--", "y".repeat(LONGEST_HEADERS)),
        ] {
            let refusal = read(&body).expect_err(&body);
            assert_eq!((refusal.status.as_u16(), refusal.code), (400, "bad_form"), "{body}");
        }
        let three = format!("--b\r\n{head}x\r\n").repeat(3) + "--b--";
        assert_eq!(read(&three).expect_err("three").code, "too_many_photos");
    }

    #[test]
    fn boundaries_are_told_by_the_content_type() {
        let told = |text: &str| boundary(text).map(|b| b.map_err(|refusal| refusal.code));
        assert_eq!(told("multipart/form-data; boundary=--x"), Some(Ok("--x".into())));
        assert_eq!(
            told("Multipart/Form-Data;charset=utf-8; Boundary=\"a b\""),
            Some(Ok("a b".into()))
        );
        for bad in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"x",
        ] {
            assert_eq!(told(bad), Some(Err("bad_form")), "{bad}");
        }
        assert_eq!(
            told(&format!("multipart/form-data; boundary={}", "x".repeat(71))),
            Some(Err("bad_form"))
        );
        assert_eq!(told("application/json"), None);
        assert_eq!(told(""), None);
    }
}
