//! Text and formulas as HTML.

use crate::report::escape;

/// Text as HTML shows it; control characters, which HTML forbids, become replacement characters.
pub(super) fn text(text: &str) -> String {
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    escape(&text.replace(control, "\u{fffd}"))
}

/// A number of things, its digits in threes.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// A formula in MathML from a line of plain signs: names and numbers, `_{…}` and `^{…}` for what stands below
/// and above, `√{…}`, `{…}/{…}` for a fraction; everything else is an operator.
///
/// Formulas are the program's own; what is not understood stands there as it is.
pub(super) fn formula(line: &str) -> String {
    let signs: Vec<char> = line.chars().collect();
    let mut at = 0;
    let row = row(&signs, &mut at);
    format!("<math display=\"block\">{row}</math>")
}

/// Up to the end or the brace that closes it.
fn row(signs: &[char], at: &mut usize) -> String {
    let mut parts: Vec<String> = vec![];
    while let Some(&sign) = signs.get(*at) {
        *at += 1;
        match sign {
            '}' => break,
            ' ' => {}
            '_' | '^' => {
                let script = group(signs, at);
                let base = parts.pop().unwrap_or_default();
                let other = if sign == '_' { '^' } else { '_' };
                let (tag, more) = match signs.get(*at) {
                    Some(&s) if s == other => {
                        *at += 1;
                        ("msubsup", group(signs, at))
                    }
                    _ if sign == '_' => ("msub", String::new()),
                    _ => ("msup", String::new()),
                };
                let tag = if base.contains("∑") && tag == "msub" { "munder" } else { tag };
                parts.push(format!("<{tag}>{base}{script}{more}</{tag}>"));
            }
            '√' => parts.push(format!("<msqrt>{}</msqrt>", group(signs, at))),
            '{' => {
                *at -= 1;
                let above = group(signs, at);
                match signs.get(*at) {
                    Some('/') => {
                        *at += 1;
                        parts.push(format!("<mfrac>{above}{}</mfrac>", group(signs, at)));
                    }
                    _ => parts.push(above),
                }
            }
            c if c.is_alphanumeric() => {
                *at -= 1;
                parts.push(word(signs, at));
            }
            c => parts.push(format!("<mo>{}</mo>", text(&c.to_string()))),
        }
    }
    format!("<mrow>{}</mrow>", parts.concat())
}

fn group(signs: &[char], at: &mut usize) -> String {
    match signs.get(*at) {
        Some('{') => {
            *at += 1;
            row(signs, at)
        }
        Some(c) if c.is_alphanumeric() => word(signs, at),
        _ => "<mrow></mrow>".into(),
    }
}

/// A number or a name.
fn word(signs: &[char], at: &mut usize) -> String {
    let number = signs[*at].is_ascii_digit();
    let belongs = |c: &&char| match number {
        true => c.is_ascii_digit() || **c == '.',
        false => c.is_alphanumeric() || **c == '′',
    };
    let word: String = signs[*at..].iter().take_while(belongs).collect();
    *at += word.chars().count();
    let (tag, word) = (if number { "mn" } else { "mi" }, text(&word));
    format!("<{tag}>{word}</{tag}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas() {
        let inner = |line| {
            let all = formula(line);
            all.replace("<math display=\"block\"><mrow>", "").replace("</mrow></math>", "")
        };
        assert_eq!(inner("y = 2.5"), "<mi>y</mi><mo>=</mo><mn>2.5</mn>");
        assert_eq!(
            inner("x_{i}^2"),
            "<msubsup><mi>x</mi><mrow><mi>i</mi></mrow><mn>2</mn></msubsup>"
        );
        assert_eq!(
            inner("{1}/{n}"),
            "<mfrac><mrow><mn>1</mn></mrow><mrow><mi>n</mi></mrow></mfrac>"
        );
        assert_eq!(inner("a < b"), "<mi>a</mi><mo>&lt;</mo><mi>b</mi>");
        for odd in ["}", "_", "^{", "{", "√", "x_", ""] {
            formula(odd);
        }
    }

    #[test]
    fn digits_in_threes() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
