//! What is known of simulated photos. Flows in: the CSV of `likenet simulate --truth`. Flows out: what each photo shows,
//! and how much can be seen of how liked it is.

use super::project::Project;
use crate::error::{Error, Result};
use std::collections::HashMap;

/// The truth about a photo.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact {
    pub portrait: bool,
    pub appeal: f64,
}

/// The truth about photos, by the network's names for them.
pub(super) struct Truth {
    facts: HashMap<String, Fact>,
    /// How likes came about.
    pub law: String,
}

impl Truth {
    /// Reads the file that the settings name; None where they name none.
    pub fn of(project: &Project) -> Result<Option<Self>> {
        let path = &project.config.report.truth;
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let path = project.given(path);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        Self::parse(&text)
            .map(Some)
            .ok_or_else(|| Error::Invalid(format!("{}: no truth about photos", path.display())))
    }

    fn parse(text: &str) -> Option<Self> {
        let law = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or("").to_string();
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let head: Vec<&str> = lines.next()?.split(',').collect();
        let column = |name: &str| head.iter().position(|&h| h == name);
        let (native, kind, appeal) = (column("native")?, column("kind")?, column("appeal")?);
        let fact = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            let appeal = cells.get(appeal)?.parse().ok()?;
            let portrait = *cells.get(kind)? == "Portrait";
            Some(((*cells.get(native)?).to_string(), Fact { portrait, appeal }))
        };
        Some(Self { facts: lines.map(fact).collect::<Option<_>>()?, law })
    }

    /// The truth about a photo.
    pub fn get(&self, native: &str) -> Option<&Fact> {
        self.facts.get(native)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_simulation() {
        let truth = Truth::parse("# likes = x\nnative,kind,appeal\n7,Portrait,0.5\n8,Meme,-1\n")
            .expect("one");
        assert_eq!(truth.get("8"), Some(&Fact { portrait: false, appeal: -1.0 }));
        assert_eq!((truth.get("9"), truth.law.as_str()), (None, "likes = x"));
        assert!(Truth::parse("native,kind\n1,Meme\n").is_none());
        assert!(Truth::parse("native,kind,appeal\n1,Meme,x\n").is_none());
    }
}
