//! Whole pages.

use super::*;
use crate::image::Size;
use crate::report::thumbnail::encode_png;

/// Elements without an end.
const VOID: [&str; 3] = ["meta", "img", "br"];

fn png() -> Vec<u8> {
    let picture = crate::image::Picture::new(Size::new(2, 2), (0..12).collect()).unwrap();
    encode_png(&picture).unwrap()
}

/// A page with every part, each with text that is no HTML.
fn full() -> Page {
    let hostile = |name: &str| format!("{name} <script>\"&'</script>");
    let mut table = Table::new(&["set", &hostile("head")]);
    table.rows.push(vec![hostile("row"), "1".into()]);
    let picture = |name: &str| EmbeddedPicture {
        file: png(),
        alternative: hostile(&format!("{name} alternative")),
        caption: hostile(&format!("{name} caption")),
    };
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><rect width=\"1\"/></svg>".to_string();
    let blocks = vec![
        Block::Heading(hostile("heading")),
        Block::Paragraph(hostile("paragraph")),
        Block::List(vec![hostile("item"), "second".into()]),
        Block::Preformatted(hostile("lines\n  two")),
        Block::Table { table, caption: hostile("table") },
        Block::Drawing { svg, alternative: hostile("shape"), caption: hostile("drawing") },
        Block::Picture(picture("large")),
        Block::Thumbnails(vec![picture("first"), picture("small")]),
    ];
    let section = |name: &str| Section { heading: hostile(name), blocks: blocks.clone() };
    Page {
        title: hostile("title"),
        subtitle: hostile("subtitle"),
        banner: hostile("banner"),
        figures: vec![Headline {
            value: hostile("0.5"),
            label: hostile("AP"),
            note: hostile("note"),
        }],
        sections: vec![section("one"), section("two"), section("three")],
        footer: hostile("footer"),
    }
}

/// The tags of a page in order, those that end something with "/".
///
/// Fails where one ends that was not the last to begin.
fn tags(html: &str) -> Vec<String> {
    let (mut tags, mut open) = (vec![], vec![]);
    for part in html.split('<').skip(1).filter(|part| !part.starts_with('!')) {
        let name: String = part.chars().take_while(|c| *c == '/' || c.is_alphanumeric()).collect();
        let tag = part.split('>').next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "</{name}> ends another"),
            None if VOID.contains(&name.as_str()) || tag.ends_with('/') => (),
            None => open.push(name.clone()),
        }
        tags.push(name);
    }
    assert!(open.is_empty(), "{open:?} do not end");
    tags
}

#[test]
fn every_tag_ends_and_none_is_foreign() {
    for page in [full(), Page::default()] {
        let tags = tags(&page.html().unwrap());
        assert!(!tags.iter().any(|tag| tag == "script"));
        assert_eq!(tags.iter().filter(|tag| *tag == "h1").count(), 1);
        // Headings never skip a level.
        let levels = tags.iter().filter_map(|tag| tag.strip_prefix('h')?.parse::<u8>().ok());
        let levels: Vec<u8> = levels.collect();
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    }
}

#[test]
fn text_is_escaped_wherever_it_stands() {
    let html = full().html().unwrap();
    for name in [
        "title",
        "subtitle",
        "banner",
        "0.5",
        "AP",
        "note",
        "one",
        "heading",
        "paragraph",
        "item",
        "lines\n  two",
        "head",
        "row",
        "table",
        "shape",
        "drawing",
        "large alternative",
        "large caption",
        "small alternative",
        "small caption",
        "footer",
    ] {
        let escaped = format!("{name} &lt;script&gt;&quot;&amp;'&lt;/script&gt;");
        assert!(html.contains(&escaped), "'{name}' is not there");
    }
    assert!(!html.contains("<script"));
}

#[test]
fn a_page_needs_nothing_beside_it() {
    let html = full().html().unwrap();
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
                  img-src data:; style-src 'unsafe-inline'\">";
    assert!(html.contains(policy));
    // All that is loaded is in the page, all links lead into it; a name space is no address.
    assert!(html.split(" src=\"").skip(1).all(|rest| rest.starts_with("data:image/")));
    assert!(html.split(" href=\"").skip(1).all(|rest| rest.starts_with("#section-")));
    let addresses = html.matches("http://").count() + html.matches("https://").count();
    assert_eq!(addresses, html.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
    assert!(!html.contains("url(") && !html.contains("@import"));
}

#[test]
fn contents_lead_to_sections() {
    let mut page = full();
    let html = page.html().unwrap();
    for number in 1..=3 {
        assert!(html.contains(&format!("<a href=\"#section-{number}\">")));
        assert!(html.contains(&format!("<h2 id=\"section-{number}\">")));
    }
    page.sections.pop();
    assert!(!page.html().unwrap().contains("<nav"));
}

#[test]
fn what_is_empty_is_left_out() {
    let html = Page { title: "only".into(), ..Page::default() }.html().unwrap();
    let body = html.split("<body>").nth(1).unwrap();
    assert_eq!(body, "\n<header>\n<h1>only</h1>\n</header>\n<main>\n</main>\n</body>\n</html>\n");
}

#[test]
fn a_broken_part_fails_the_page_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("page.html");
    let mut page = full();
    page.write(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page.html().unwrap());
    std::fs::remove_file(&path).unwrap();
    page.sections[2]
        .blocks
        .push(Block::Picture(EmbeddedPicture { file: vec![1], ..EmbeddedPicture::default() }));
    assert!(page.write(&path).is_err() && !path.exists());
}
