//! One's own business account at Instagram: `/{account}/media`, and `/{account}` for its followers.
//!
//! What Instagram still offers: likes of one's own photos. All are of one account, so the followers tell nothing
//! apart; likes ÷ followers still says which photos did better than the others.

use super::{Asker, Found, Owner, Page, failed};
use crate::error::Result;
use crate::photos::http::{Shown, date};
use serde::Deserialize;

#[derive(Deserialize)]
struct Account {
    id: String,
    username: Option<String>,
    followers_count: Option<u64>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Media>,
    #[serde(default)]
    paging: Paging,
}

#[derive(Default, Deserialize)]
struct Paging {
    #[serde(default)]
    cursors: Cursors,
    next: Option<String>,
}

#[derive(Default, Deserialize)]
struct Cursors {
    after: Option<String>,
}

#[derive(Deserialize)]
struct Media {
    id: String,
    media_type: Option<String>,
    media_url: Option<String>,
    permalink: Option<String>,
    timestamp: Option<String>,
    /// Missing where the owner hides likes.
    like_count: Option<u64>,
}

pub(super) async fn page(asker: &Asker<'_>, cursor: Option<&str>) -> Result<Page> {
    let account = &asker.settings.account;
    let mut about = asker.address(&[account])?;
    about.query_pairs_mut().append_pair("fields", "id,username,followers_count");
    let asked = asker.web.json::<Account>(&about, &asker.rotation, Shown::Parameter, asker.note);
    let (owner, _) = asked.await.map_err(failed)?;
    let mut url = asker.address(&[account, "media"])?;
    let fields = "id,media_type,media_url,permalink,timestamp,like_count";
    url.query_pairs_mut().append_pair("fields", fields).append_pair("limit", "100");
    if let Some(after) = cursor {
        url.query_pairs_mut().append_pair("after", after);
    }
    let asked = asker.web.json::<Answer>(&url, &asker.rotation, Shown::Parameter, asker.note);
    let (answer, _) = asked.await.map_err(failed)?;
    // There is a next page where there is a link; the link itself holds the token and is not kept.
    let next = answer.paging.next.and(answer.paging.cursors.after);
    let mut page = Page { next, ..Page::default() };
    for media in answer.data {
        match found(media, &owner) {
            Ok(found) => page.found.push(found),
            Err(reason) => page.leave(reason),
        }
    }
    Ok(page)
}

fn found(media: Media, owner: &Account) -> std::result::Result<Found, &'static str> {
    // The first picture of an album has the album's likes.
    let shown = matches!(media.media_type.as_deref(), None | Some("IMAGE" | "CAROUSEL_ALBUM"));
    let url = media.media_url.filter(|_| shown).ok_or("without a picture")?;
    let offset = |text: &str| {
        // The time zone comes without a colon.
        let at = text.len().checked_sub(2).filter(|_| text.ends_with("+0000"))?;
        Some(format!("{}:{}", text.get(..at)?, text.get(at..)?))
    };
    let created = media.timestamp.as_deref();
    let created = created.and_then(|text| date(&offset(text).unwrap_or(text.to_string())));
    Ok(Found {
        native: media.id,
        owner: Owner {
            native: owner.id.clone(),
            name: owner.username.clone().unwrap_or_else(|| owner.id.clone()),
            followers: owner.followers_count,
        },
        url,
        page: media.permalink.unwrap_or_default(),
        created: created.map(|time| time.floor() as i64),
        likes: media.like_count.ok_or("whose likes are hidden")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn media_become_photos() {
        let owner: Account =
            serde_json::from_value(json!({ "id": "1", "username": "us", "followers_count": 900 }))
                .expect("one");
        let media = |value| found(serde_json::from_value(value).expect("media"), &owner);
        let photo = media(json!({
            "id": "5", "media_type": "CAROUSEL_ALBUM", "media_url": "https://c/5.jpg", "permalink": "https://i/5",
            "timestamp": "2026-09-01T12:00:00+0000", "like_count": 44
        }))
        .expect("a photo");
        assert_eq!((photo.likes, photo.created), (44, Some(1_788_264_000)));
        assert_eq!(photo.owner.followers, Some(900));
        let video = json!({ "id": "6", "media_type": "VIDEO", "media_url": "https://c/6.mp4", "like_count": 1 });
        assert_eq!(media(video), Err("without a picture"));
        let hidden = json!({ "id": "7", "media_type": "IMAGE", "media_url": "https://c/7.jpg" });
        assert_eq!(media(hidden), Err("whose likes are hidden"));
    }
}
