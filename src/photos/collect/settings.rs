//! What is collected, and how.

use crate::error::{Error, Result};
use crate::photos::http::{Manners, parse_url};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Where photos come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Mastodon and what speaks like it.
    Mastodon,
    /// Pixelfed, which speaks like Mastodon.
    Pixelfed,
    /// Instagram's interface of the study's time, closed since; archives and mocks speak it.
    InstagramV1,
    /// One's own business account at Instagram.
    InstagramGraph,
    /// A table of photos.
    Csv,
    /// The same, an object a line.
    Jsonl,
    /// A folder of photos, each with a JSON beside it.
    Folder,
}

/// What is collected, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where from.
    pub source: Kind,
    /// The server's address; for files none.
    pub url: String,
    /// The hashtag, without #.
    pub tag: String,
    /// The account of `instagram-graph`.
    pub account: String,
    /// The file or folder of `csv`, `jsonl` and `folder`.
    pub path: PathBuf,
    /// Photos at most.
    pub most: u64,
    /// An address of mail or a page where an administrator reaches who collects.
    pub contact: String,
    /// Calls a second, at most.
    pub rate: f64,
    /// The environment variable that holds access tokens.
    pub token_variable: Option<String>,
    /// A file that holds access tokens, one a line.
    pub token_file: Option<PathBuf>,
    /// How often a call that fails is made in all.
    pub tries: u32,
    /// Seconds that a host which does not answer is waited for.
    pub patience: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            source: Kind::Mastodon,
            url: String::new(),
            tag: String::new(),
            account: String::new(),
            path: PathBuf::new(),
            most: 10_000,
            contact: String::new(),
            rate: 1.0,
            token_variable: None,
            token_file: None,
            tries: 6,
            patience: 120,
        }
    }
}

impl Settings {
    /// Whether photos come from a network.
    pub fn is_network(&self) -> bool {
        !matches!(self.source, Kind::Csv | Kind::Jsonl | Kind::Folder)
    }

    /// In words, what is collected: a folder's store holds one such thing.
    pub fn identity(&self) -> String {
        let kind = format!("{:?}", self.source);
        match self.source {
            Kind::Csv | Kind::Jsonl | Kind::Folder => format!("{kind} {}", self.path.display()),
            Kind::InstagramGraph => format!("{kind} {} account {}", self.url, self.account),
            _ => format!("{kind} {} tag {}", self.url, self.tag),
        }
    }

    /// Fails where something that the source needs is missing, or makes no sense.
    pub fn check(&self) -> Result<()> {
        let need = |empty: bool, what: &str| match empty {
            true => Err(Error::Invalid(format!("[collect] {what}"))),
            false => Ok(()),
        };
        need(self.most == 0, "most: give the number of photos to collect at most")?;
        if !self.is_network() {
            return need(self.path.as_os_str().is_empty(), "path: name the file or folder");
        }
        parse_url(&self.url).map_err(|e| Error::Invalid(format!("[collect] url: {e}")))?;
        need(!(self.rate > 0.0 && self.rate <= 1000.0), "rate: calls a second, above 0")?;
        let contact = &self.contact;
        let printable = contact.bytes().all(|b| b.is_ascii_graphic());
        need(
            contact.is_empty() || !printable,
            "contact: an address where the server's administrator reaches you, without blanks, such as \
             mailto:you@example.org",
        )?;
        match self.source {
            Kind::InstagramGraph => need(self.account.is_empty(), "account: the account's number"),
            _ => need(self.tag.trim_start_matches('#').is_empty(), "tag: the hashtag"),
        }
    }

    /// How the network is asked.
    pub fn manners(&self) -> Manners {
        Manners {
            rate: self.rate,
            contact: self.contact.clone(),
            tries: self.tries.max(1),
            patience: Duration::from_secs(self.patience),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_is_missing() {
        let good = Settings {
            url: "https://host".into(),
            tag: "me".into(),
            contact: "mailto:a@b".into(),
            ..Settings::default()
        };
        good.check().expect("good");
        let said = |settings: Settings| settings.check().expect_err("refused").to_string();
        assert!(said(Settings { contact: String::new(), ..good.clone() }).contains("contact"));
        assert!(said(Settings { tag: "#".into(), ..good.clone() }).contains("tag"));
        assert!(said(Settings { url: "host".into(), ..good.clone() }).contains("url"));
        assert!(said(Settings { rate: 0.0, ..good.clone() }).contains("rate"));
        assert!(said(Settings { source: Kind::Csv, ..good }).contains("path"));
    }
}
