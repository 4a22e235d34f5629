//! Mastodon, Pixelfed and what speaks like them: `GET /api/v1/timelines/tag/:tag`.
//!
//! Flows in: the statuses of a hashtag, newest first, page after page by their `Link` header. Flows out: the first
//! picture of each. A status that is somebody else's passed on, is marked sensitive, is not public or shows no
//! picture is left out; so is every status of a bot and of an account that does not want to be found by machines:
//! `noindex`, or the word nobot or noindex in what it says about itself.

use super::{Asker, Found, Owner, Page, failed};
use crate::error::Result;
use crate::photos::http::{Shown, date, next_link};
use serde::Deserialize;

/// Statuses of a page: the most that servers give.
const PAGE: &str = "40";

#[derive(Deserialize)]
struct Status {
    id: String,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    visibility: Option<String>,
    #[serde(default)]
    reblog: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    favourites_count: u64,
    #[serde(default)]
    url: Option<String>,
    account: Account,
    #[serde(default)]
    media_attachments: Vec<Media>,
}

#[derive(Deserialize)]
struct Account {
    id: String,
    acct: String,
    #[serde(default)]
    followers_count: Option<i64>,
    #[serde(default)]
    bot: Option<bool>,
    #[serde(default)]
    noindex: Option<bool>,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Deserialize)]
struct Media {
    r#type: String,
    #[serde(default)]
    url: Option<String>,
}

pub(super) async fn page(asker: &Asker<'_>, cursor: Option<&str>) -> Result<Page> {
    let url = match cursor {
        Some(next) => asker.follow(next)?,
        None => {
            let tag = asker.settings.tag.trim_start_matches('#');
            let mut url = asker.address(&["api", "v1", "timelines", "tag", tag])?;
            url.query_pairs_mut().append_pair("limit", PAGE);
            url
        }
    };
    let asked = asker.web.json::<Vec<Status>>(&url, &asker.rotation, Shown::Bearer, asker.note);
    let (statuses, headers) = asked.await.map_err(failed)?;
    // Some servers link to a next page from an empty last one.
    let next = if statuses.is_empty() { None } else { next_link(&headers) };
    let mut page = Page { next, ..Page::default() };
    for status in statuses {
        match found(status) {
            Ok(found) => page.found.push(found),
            Err(reason) => page.leave(reason),
        }
    }
    Ok(page)
}

/// A status's picture, or why it is left out.
fn found(status: Status) -> std::result::Result<Found, &'static str> {
    let account = status.account;
    let opts_out = account.noindex == Some(true) || says_no(account.note.as_deref().unwrap_or(""));
    let picture = || {
        let media = status.media_attachments.iter();
        media.filter(|m| m.r#type == "image").find_map(|m| m.url.clone())
    };
    match () {
        () if status.reblog.is_some() => Err("passed on from another account"),
        () if status.visibility.as_deref().is_some_and(|v| v != "public") => Err("not public"),
        () if status.sensitive => Err("marked sensitive"),
        () if account.bot == Some(true) => Err("of a bot"),
        () if opts_out => Err("of an account that opts out"),
        () => match picture() {
            None => Err("without a picture"),
            Some(url) => Ok(Found {
                native: status.id,
                owner: Owner {
                    native: account.id,
                    name: account.acct,
                    // Servers that hide the number give −1.
                    followers: account.followers_count.and_then(|n| u64::try_from(n).ok()),
                },
                url,
                page: status.url.unwrap_or_default(),
                created: status.created_at.as_deref().and_then(date).map(|t| t.floor() as i64),
                likes: status.favourites_count,
            }),
        },
    }
}

/// Whether what an account says about itself, in HTML, has a word that keeps machines away, as `#nobot`. Tags are no
/// words: servers write `#<span>nobot</span>`.
fn says_no(about: &str) -> bool {
    let mut within = false;
    let text: String = about
        .chars()
        .map(|c| {
            within = c == '<' || (within && c != '>');
            if within || c == '>' { ' ' } else { c }
        })
        .collect();
    let text = text.to_lowercase();
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    words.any(|word| matches!(word, "nobot" | "nobots" | "noindex"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status(change: impl FnOnce(&mut Value)) -> std::result::Result<Found, &'static str> {
        let mut status = json!({
            "id": "109", "created_at": "2026-09-01T12:00:00.500Z", "sensitive": false, "visibility": "public",
            "reblog": null, "favourites_count": 31, "url": "https://host/@ann/109",
            "account": { "id": "7", "acct": "ann", "followers_count": 250, "bot": false, "noindex": null,
                "note": "<p>I like clouds</p>" },
            "media_attachments": [
                { "type": "video", "url": "https://host/v.mp4" },
                { "type": "image", "url": "https://host/p.jpg" }
            ]
        });
        change(&mut status);
        found(serde_json::from_value(status).expect("a status"))
    }

    #[test]
    fn a_status_becomes_a_photo() {
        let photo = status(|_| ()).expect("a photo");
        assert_eq!(
            (photo.native.as_str(), photo.likes, photo.owner.followers),
            ("109", 31, Some(250))
        );
        assert_eq!(
            (photo.url.as_str(), photo.created),
            ("https://host/p.jpg", Some(1_788_264_000))
        );
        assert_eq!(
            status(|s| s["account"]["followers_count"] = json!(-1)).expect("one").owner.followers,
            None
        );
    }

    #[test]
    fn who_did_not_agree_is_left_out() {
        let said = |change: fn(&mut Value)| status(change).expect_err("left out");
        assert!(said(|s| s["reblog"] = json!({ "id": "1" })).contains("passed on"));
        assert!(said(|s| s["visibility"] = json!("unlisted")).contains("public"));
        assert!(said(|s| s["sensitive"] = json!(true)).contains("sensitive"));
        assert!(said(|s| s["account"]["bot"] = json!(true)).contains("bot"));
        assert!(said(|s| s["account"]["noindex"] = json!(true)).contains("opts out"));
        assert!(
            said(|s| s["account"]["note"] = json!("me <a>#<span>NoBot</span></a>"))
                .contains("opts out")
        );
        assert!(
            !says_no("<p>I build robots, nobotany</p>")
                && says_no("no photos, nobot")
                && says_no("<p>hi</p><p>noindex</p>")
        );
        assert!(said(|s| s["media_attachments"] = json!([{ "type": "gifv" }])).contains("without"));
    }
}
