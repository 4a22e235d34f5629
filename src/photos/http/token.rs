//! Secrets that let a program ask. Flows in: an environment variable or a file. Flows out: tokens in turn.
//!
//! A token is shown to nobody: it has no `Display`, and its `Debug` hides it.

use crate::error::{Error, Result};
use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use tokio::time::{Duration, Instant};

/// A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// What the network is told, and nobody else.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Tokens, one or several a line or between commas, from the environment or else from a file.
///
/// Gives none where neither is named. Fails where what is named is not there or empty.
pub fn tokens(variable: Option<&str>, file: Option<&Path>) -> Result<Vec<Token>> {
    let (text, from) = match (variable, file) {
        (Some(name), _) if std::env::var_os(name).is_some() => {
            let text = std::env::var(name);
            (text.map_err(|_| Error::Invalid(format!("{name}: is no text")))?, name.to_string())
        }
        (_, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
            (text, path.display().to_string())
        }
        (Some(name), None) => {
            return Err(Error::Invalid(format!(
                "the environment has no variable {name}, which is to hold the access token"
            )));
        }
        (None, None) => return Ok(vec![]),
    };
    let words = text.split([',', '\n', '\r']).map(str::trim).filter(|word| !word.is_empty());
    let tokens: Vec<Token> = words.map(|word| Token(word.to_string())).collect();
    match tokens.iter().find(|token| !token.0.bytes().all(|b| b.is_ascii_graphic())) {
        Some(_) => {
            Err(Error::Invalid(format!("{from}: a token has characters that none can have")))
        }
        None if tokens.is_empty() => Err(Error::Invalid(format!("{from}: holds no token"))),
        None => Ok(tokens),
    }
}

/// Which token is asked with next: one that may still ask.
pub struct Rotation {
    tokens: Vec<Token>,
    /// When each may ask again, and which was used last.
    free: Mutex<(Vec<Instant>, usize)>,
}

impl Rotation {
    /// All may ask at once.
    pub fn new(tokens: Vec<Token>) -> Self {
        let free = vec![Instant::now(); tokens.len()];
        Self { tokens, free: Mutex::new((free, 0)) }
    }

    /// The number of the next token, itself, and how long to wait before it may ask; None without tokens.
    pub fn next(&self) -> Option<(usize, &Token, Duration)> {
        let mut free = self.free.lock().unwrap_or_else(|e| e.into_inner());
        let (now, count, last) = (Instant::now(), self.tokens.len(), free.1);
        let order = (1..=count).map(|i| (last + i) % count);
        let next = order.min_by_key(|&i| free.0[i].max(now))?;
        free.1 = next;
        Some((next, &self.tokens[next], free.0[next].saturating_duration_since(now)))
    }

    /// A token may not ask for a while.
    pub fn rest(&self, token: usize, wait: Duration) {
        let mut free = self.free.lock().unwrap_or_else(|e| e.into_inner());
        free.0[token] = Instant::now() + wait;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(words: &[&str]) -> Rotation {
        Rotation::new(words.iter().map(|word| Token(word.to_string())).collect())
    }

    #[test]
    fn tokens_take_turns_and_tired_ones_are_passed_over() {
        let rotation = rotation(&["a", "b", "c"]);
        let next = || rotation.next().map(|(i, _, wait)| (i, wait.as_secs())).expect("a token");
        assert_eq!([next(), next(), next(), next()], [(1, 0), (2, 0), (0, 0), (1, 0)]);
        rotation.rest(2, Duration::from_secs(90));
        assert_eq!([next(), next()], [(0, 0), (1, 0)]);
        rotation.rest(0, Duration::from_secs(60));
        rotation.rest(1, Duration::from_secs(30));
        let (token, wait) = next();
        assert!(token == 1 && (29..=30).contains(&wait), "{token} {wait}");
        assert!(Rotation::new(vec![]).next().is_none());
    }

    #[test]
    fn tokens_come_from_a_file_and_are_not_shown() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "abc, def\n\nghi\n").expect("room");
        let read = tokens(None, Some(file.path())).expect("tokens");
        assert_eq!(read.iter().map(Token::reveal).collect::<Vec<_>>(), ["abc", "def", "ghi"]);
        assert_eq!(format!("{:?}", read[0]), "Token(hidden)");
        std::fs::write(file.path(), "secret words\n").expect("room");
        let said = tokens(None, Some(file.path())).expect_err("a blank").to_string();
        assert!(!said.contains("secret"), "{said}");
        assert!(tokens(Some("LIKENET_NO_SUCH_VARIABLE"), None).is_err());
        assert_eq!(tokens(None, None).expect("none").len(), 0);
    }
}
