//! Text in, places out: which line holds which block and which field.
//!
//! This is not a parser. It knows strings, comments, names and brackets, which is what it takes to
//! say *where* something is; what it means is for the parser in `text.rs`.

/// Caffe's own messages nest 4 deep. The parser calls itself for each level, and a field's path grows
/// with each, so a limit keeps a hostile text from exhausting the stack or the memory.
pub(crate) const MAX_DEPTH: usize = 64;

/// An empty layer takes seven bytes of text but thousands in memory. The largest published nets have
/// a few thousand layers with half a dozen blocks in each.
const MAX_BLOCKS: usize = 1 << 16;

/// What the scanner tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A name or a word: a field, an enum value, `true`, a number.
    Word(&'a str),
    /// A quoted string without its quotes, escapes untouched.
    Quoted(&'a str),
    /// `{` or `<`.
    Open,
    /// `}` or `>`.
    Close,
    /// `[`.
    OpenList,
    /// `]`.
    CloseList,
    /// `:`.
    Colon,
    /// Anything else.
    Other,
}

/// Walks a text token by token, each with its offset in bytes.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Scanner<'a> {
    type Item = (usize, Token<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        loop {
            let start = self.at;
            let byte = *bytes.get(start)?;
            self.at += 1;
            let token = match byte {
                b'#' => {
                    self.skip_while(|b| b != b'\n');
                    continue;
                }
                b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c => continue,
                b'"' | b'\'' => self.quoted(byte),
                b'{' | b'<' => Token::Open,
                b'}' | b'>' => Token::Close,
                b'[' => Token::OpenList,
                b']' => Token::CloseList,
                b':' => Token::Colon,
                b if is_word(b) => {
                    self.skip_while(is_word);
                    Token::Word(&self.text[start..self.at])
                }
                _ => Token::Other,
            };
            return Some((start, token));
        }
    }
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Scanner { text, at: 0 }
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|&b| !wanted(b)).unwrap_or(rest.len());
    }

    /// After the opening quote. A string ends at its quote, or unfinished at the line's end.
    fn quoted(&mut self, quote: u8) -> Token<'a> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'\\' => self.at += 2,
                b'\n' => break,
                b if b == quote => {
                    self.at += 1;
                    return Token::Quoted(&self.text[start..self.at - 1]);
                }
                _ => self.at += 1,
            }
        }
        // A backslash may have stepped past the end or into the middle of a character.
        self.at = self.at.min(bytes.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        Token::Quoted(&self.text[start..self.at])
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The line of a byte, counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    let end = offset.min(text.len());
    1 + text.as_bytes()[..end].iter().filter(|&&b| b == b'\n').count()
}

/// A step of the walk: the fields open around a token, outermost first.
struct Walk<'a> {
    scanner: Scanner<'a>,
    /// The names of the open messages. A message in a list has its list's name.
    open: Vec<&'a str>,
    /// The field whose value is being read, and where its name stands.
    field: Option<(&'a str, usize)>,
    /// How many lists are open in the innermost message.
    lists: usize,
    /// `field` and `lists` of each open message's surroundings, to go on with after it.
    outside: Vec<(Option<(&'a str, usize)>, usize)>,
    last_word: Option<(&'a str, usize)>,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Self {
        Walk {
            scanner: Scanner::new(text),
            open: vec![],
            field: None,
            lists: 0,
            outside: vec![],
            last_word: None,
        }
    }

    fn step(&mut self) -> Option<(usize, Token<'a>)> {
        let (at, token) = self.scanner.next()?;
        match token {
            Token::Word(word) => self.last_word = Some((word, at)),
            Token::Colon => self.field = self.last_word,
            Token::OpenList => self.lists += 1,
            Token::CloseList => self.lists = self.lists.saturating_sub(1),
            Token::Open => {
                if self.lists == 0 {
                    self.field = self.last_word;
                }
                self.open.push(self.field.map_or("", |(name, _)| name));
                self.outside.push((self.field, std::mem::take(&mut self.lists)));
            }
            Token::Close => {
                self.open.pop();
                if let Some((field, lists)) = self.outside.pop() {
                    self.field = field;
                    self.lists = lists;
                }
            }
            Token::Quoted(_) | Token::Other => {}
        }
        Some((at, token))
    }
}

/// The line where a field is first written, from 1; `path` from the top, as in `train_state.stage`.
pub fn line_of_field(text: &str, path: &str) -> Option<usize> {
    let mut walk = Walk::new(text);
    while let Some((_, token)) = walk.step() {
        match (token, walk.field) {
            (Token::Colon, Some((name, start))) if join(&walk.open, Some(name)) == path => {
                return Some(line_of(text, start));
            }
            _ if walk.open.len() > MAX_DEPTH => return None,
            _ => {}
        }
    }
    None
}

/// The path of the field around a byte, as in `layer.convolution_param.pad`.
pub(crate) fn field_at(text: &str, offset: usize) -> String {
    let mut walk = Walk::new(text);
    let mut path: Vec<&str> = vec![];
    while let Some((at, token)) = walk.step() {
        if at > offset {
            break;
        }
        path.clone_from(&walk.open);
        match token {
            Token::Word(word)
                if at + word.len() > offset && walk.scanner.next_is_value_or_colon() =>
            {
                path.push(word);
            }
            Token::Open | Token::Close => {}
            _ => path.extend(walk.field.map(|(name, _)| name)),
        }
    }
    path.retain(|name| !name.is_empty());
    path.join(".")
}

impl Scanner<'_> {
    /// Whether what follows makes the word just read a field's name.
    fn next_is_value_or_colon(&self) -> bool {
        let mut ahead = Scanner { text: self.text, at: self.at };
        matches!(ahead.next(), Some((_, Token::Colon | Token::Open)))
    }
}

/// A text that must not be given to the parser: where it goes too far, and how.
pub(crate) fn excess(text: &str) -> Option<(usize, String)> {
    let mut depth = 0usize;
    let mut blocks = 0usize;
    for (at, token) in Scanner::new(text) {
        match token {
            Token::Open => {
                // Deeper than this no message of Caffe's holds layers.
                blocks += usize::from(depth <= 3);
                depth += 1;
            }
            Token::OpenList => depth += 1,
            Token::Close | Token::CloseList => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Some((at, format!("nested more than {MAX_DEPTH} deep")));
        }
        if blocks > MAX_BLOCKS {
            return Some((at, format!("more than {MAX_BLOCKS} blocks")));
        }
    }
    None
}

/// Where a list follows its field's name without a colon (`layer [ {…}, {…} ]`): legal text that the
/// parser wants with one.
pub(crate) fn lists_without_colon(text: &str) -> Vec<usize> {
    let mut found = vec![];
    let mut after_word = false;
    let mut after_colon = false;
    for (at, token) in Scanner::new(text) {
        if token == Token::OpenList && after_word {
            found.push(at);
        }
        after_word = matches!(token, Token::Word(_)) && !after_colon;
        after_colon = token == Token::Colon;
    }
    found
}

/// A `layer` or `layers` block of a prototxt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The value of its `name` (for V0, of `layer.name`); empty where it has none.
    pub name: String,
    /// The line where the block begins, counted from 1.
    pub line: usize,
    /// Every field in it: its path from the block (`convolution_param.pad`) and its line. A repeated
    /// field appears once for each time that it is written.
    pub fields: Vec<(String, usize)>,
}

/// Where the layers of a prototxt and their fields stand, for errors found after parsing.
#[derive(Debug, Clone, Default)]
pub struct TextIndex {
    blocks: Vec<Block>,
}

impl TextIndex {
    /// Reads the places of all layers. Text that does not parse gives what was found until then.
    pub fn new(text: &str) -> Self {
        let lines = LineStarts::new(text);
        let mut blocks: Vec<Block> = vec![];
        let mut walk = Walk::new(text);
        while let Some((at, token)) = walk.step() {
            if walk.open.len() > MAX_DEPTH {
                break;
            }
            if !matches!(walk.open.first(), Some(&("layer" | "layers"))) {
                continue;
            }
            if token == Token::Open && walk.open.len() == 1 {
                let line = lines.line_of(walk.field.map_or(at, |(_, start)| start));
                blocks.push(Block { name: String::new(), line, fields: vec![] });
                continue;
            }
            let Some(block) = blocks.last_mut() else { continue };
            match (token, walk.field) {
                (Token::Colon, Some((name, start))) => {
                    let path = join(&walk.open[1..], Some(name));
                    block.fields.push((path, lines.line_of(start)));
                }
                (Token::Open, Some((_, start))) => {
                    let path = join(&walk.open[1..], None);
                    if block.fields.last().is_none_or(|(last, _)| *last != path) {
                        block.fields.push((path, lines.line_of(start)));
                    }
                }
                (Token::Quoted(value), Some(("name", _)))
                    if block.name.is_empty()
                        && (walk.open.len() == 1 || walk.open[1..] == ["layer"]) =>
                {
                    value.clone_into(&mut block.name);
                }
                _ => {}
            }
        }
        TextIndex { blocks }
    }

    /// All layers, in the text's order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The line of the `i`-th layer, from 0.
    pub fn layer_line(&self, i: usize) -> Option<usize> {
        Some(self.blocks.get(i)?.line)
    }

    /// The line of a field of the `i`-th layer; `path` as in `convolution_param.pad`.
    pub fn field_line(&self, i: usize, path: &str) -> Option<usize> {
        self.blocks.get(i)?.line_of(path)
    }

    /// The first layer with this name. An upgrade adds and drops layers; names stay.
    pub fn by_name(&self, name: &str) -> Option<&Block> {
        self.blocks.iter().find(|block| block.name == name)
    }
}

impl Block {
    /// The line where a field is first written; `path` as in `convolution_param.pad`.
    pub fn line_of(&self, path: &str) -> Option<usize> {
        self.fields.iter().find(|(field, _)| field == path).map(|&(_, line)| line)
    }
}

fn join(open: &[&str], last: Option<&str>) -> String {
    let mut path = open.join(".");
    if let Some(last) = last {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(last);
    }
    path
}

/// The offsets at which lines begin.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn new(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|&(_, b)| b == b'\n');
        LineStarts(std::iter::once(0).chain(breaks.map(|(i, _)| i + 1)).collect())
    }

    fn line_of(&self, offset: usize) -> usize {
        self.0.partition_point(|&start| start <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: &str = "name: \"n\" # layer { in a comment\n\
        layer {\n  name: 'a}b' type: \"Convolution\"\n  convolution_param {\n    pad: 1\n    \
        weight_filler < type: \"xavier\" >\n  }\n}\n\
        input: 'data'\n\
        layer: [ { name: \"c\" },\n { name: \"d\" top: [\"x\", \"y\"]\n include { phase: TEST } } ]\n\
        layers {\n  layer { name: 'v0' pad: 2 } bottom: 'x'\n}\n";

    #[test]
    fn blocks_fields_and_lines() {
        let index = TextIndex::new(NET);
        let names: Vec<_> = index.blocks().iter().map(|b| (b.name.as_str(), b.line)).collect();
        assert_eq!(names[0], ("a}b", 2));
        assert_eq!(names.iter().map(|n| n.0).collect::<Vec<_>>(), ["a}b", "c", "d", "v0"]);
        assert_eq!(names[3].1, 13);
        assert_eq!(index.layer_line(0), Some(2));
        assert_eq!(index.layer_line(9), None);
        assert_eq!(index.field_line(0, "convolution_param"), Some(4));
        assert_eq!(index.field_line(0, "convolution_param.pad"), Some(5));
        assert_eq!(index.field_line(0, "convolution_param.weight_filler.type"), Some(6));
        assert_eq!(index.field_line(2, "include.phase"), Some(12));
        assert_eq!(index.field_line(2, "top"), Some(11));
        assert_eq!(index.by_name("v0").and_then(|b| b.line_of("layer.pad")), Some(14));
        assert_eq!(index.by_name("v0").and_then(|b| b.line_of("bottom")), Some(14));
    }

    #[test]
    fn the_path_around_a_byte() {
        let at = |needle: &str| field_at(NET, NET.find(needle).unwrap());
        assert_eq!(at("xavier"), "layer.convolution_param.weight_filler.type");
        assert_eq!(at("pad: 1"), "layer.convolution_param.pad");
        assert_eq!(at("TEST"), "layer.include.phase");
        assert_eq!(at("'data'"), "input");
    }

    #[test]
    fn the_line_of_a_field() {
        let text = "# gamma: 1\ntrain_state {\n stage: 'gamma: 2' }\ngamma\n: 3\ngamma: 4";
        assert_eq!(line_of_field(text, "gamma"), Some(4));
        assert_eq!(line_of_field(text, "train_state.stage"), Some(3));
        assert_eq!(line_of_field(text, "stage"), None);
        assert_eq!(line_of_field(&"a {".repeat(100_000), "b"), None);
    }

    #[test]
    fn depth_and_lists() {
        assert_eq!(excess("a { b { } } # {{{{\n c: '{{{{'"), None);
        assert_eq!(excess(&"a {".repeat(MAX_DEPTH + 1)).map(|e| e.0), Some(MAX_DEPTH * 3 + 2));
        assert!(excess(&"layer{}".repeat(MAX_BLOCKS + 1)).is_some());
        assert_eq!(lists_without_colon("a: [1] b [ {} ] c: X [1]").len(), 1);
    }

    #[test]
    fn odd_text_does_not_panic() {
        TextIndex::new(&"layer {".repeat(100_000));
        for text in [
            "\"\\",
            "'\\é",
            "a: \"é\\",
            "}}}",
            "]]]{",
            ":::",
            "layer",
            "layer {",
            "\"\\\u{10ffff}\"",
        ] {
            TextIndex::new(text);
            field_at(text, 3);
            excess(text);
        }
    }
}
