//! Instagram's interface of the study's time: `tags/{tag}/media/recent`, then `users/{id}` for followers.
//!
//! It was closed in 2020; archives and mocks still speak it. Pages follow one another by `next_max_tag_id`; a token
//! may make 5,000 calls an hour, so several take turns. Accounts that became private have no followers to be told.

use super::{Asker, Found, Owner, Page, count, failed};
use crate::error::Result;
use crate::photos::http::{Failure, Shown};
use crate::photos::store::Store;
use crate::photos::watch::Watch;
use rusqlite::params;
use serde::Deserialize;

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
    #[serde(default)]
    pagination: Pagination,
}

#[derive(Default, Deserialize)]
struct Pagination {
    next_max_tag_id: Option<String>,
}

#[derive(Deserialize)]
struct Media {
    id: String,
    r#type: String,
    created_time: Option<String>,
    link: Option<String>,
    #[serde(default)]
    likes: Count,
    user: User,
    images: Option<Images>,
}

#[derive(Default, Deserialize)]
struct Count {
    count: u64,
}

#[derive(Deserialize)]
struct User {
    id: String,
    username: String,
}

#[derive(Deserialize)]
struct Images {
    standard_resolution: Option<Image>,
    low_resolution: Option<Image>,
}

#[derive(Deserialize)]
struct Image {
    url: String,
}

#[derive(Deserialize)]
struct Profile {
    counts: Counts,
}

#[derive(Deserialize)]
struct Counts {
    followed_by: u64,
}

pub(super) async fn page(asker: &Asker<'_>, cursor: Option<&str>) -> Result<Page> {
    let tag = asker.settings.tag.trim_start_matches('#');
    let mut url = asker.address(&["v1", "tags", tag, "media", "recent"])?;
    if let Some(next) = cursor {
        url.query_pairs_mut().append_pair("max_tag_id", next);
    }
    let asked =
        asker.web.json::<Answer<Vec<Media>>>(&url, &asker.rotation, Shown::Parameter, asker.note);
    let (answer, _) = asked.await.map_err(failed)?;
    let mut page = Page { next: answer.pagination.next_max_tag_id, ..Page::default() };
    for media in answer.data {
        match found(media) {
            Some(found) => page.found.push(found),
            None => page.leave("without a picture"),
        }
    }
    Ok(page)
}

fn found(media: Media) -> Option<Found> {
    let images = media.images.filter(|_| media.r#type == "image")?;
    let image = images.standard_resolution.or(images.low_resolution)?;
    Some(Found {
        native: media.id,
        owner: Owner { native: media.user.id, name: media.user.username, followers: None },
        url: image.url,
        page: media.link.unwrap_or_default(),
        created: media.created_time.and_then(|text| text.parse().ok()),
        likes: media.likes.count,
    })
}

/// Asks how many followers each user has who is not known yet.
pub(super) async fn followers(
    store: &mut Store,
    asker: &Asker<'_>,
    watch: &dyn Watch,
) -> Result<()> {
    let unknown: Vec<(i64, String)> = store.read(|db| {
        let query =
            "SELECT id, native FROM users WHERE followers IS NULL AND hidden IS NULL ORDER BY id";
        let mut query = db.prepare(query)?;
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    })?;
    watch.begin("users", Some(unknown.len() as u64));
    for (done, (id, native)) in unknown.iter().enumerate() {
        let url = asker.address(&["v1", "users", native])?;
        let asked =
            asker.web.json::<Answer<Profile>>(&url, &asker.rotation, Shown::Parameter, asker.note);
        match asked.await {
            Ok((answer, _)) => store.change(|db| {
                let number = answer.data.counts.followed_by;
                db.execute("UPDATE users SET followers = ?2 WHERE id = ?1", params![id, number])
            })?,
            // Private since, or gone.
            Err(Failure::Refused(400..500, _)) => store.change(|db| {
                let photos = "SELECT count(*) FROM photos WHERE user = ?1";
                let photos: u64 = db.query_row(photos, [id], |row| row.get(0))?;
                count(db, "collect", 1, [("of users who hide their followers", photos)])?;
                db.execute("UPDATE users SET hidden = 'refused' WHERE id = ?1", [id])
            })?,
            Err(failure) => return Err(failed(failure)),
        };
        watch.at(done as u64 + 1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_as_archives_have_it() {
        let answer: Answer<Vec<Media>> = serde_json::from_value(json!({
            "pagination": { "next_max_tag_id": "1013", "deprecation_warning": "…" }, "meta": { "code": 200 },
            "data": [
                { "id": "22_7", "type": "image", "created_time": "1441000000", "link": "http://i/p/a/",
                  "likes": { "count": 15 }, "user": { "id": "7", "username": "ann", "full_name": "Ann" },
                  "images": { "standard_resolution": { "url": "http://i/a.jpg", "width": 640 } } },
                { "id": "23_7", "type": "video", "user": { "id": "7", "username": "ann" } }
            ]
        }))
        .expect("a page");
        assert_eq!(answer.pagination.next_max_tag_id.as_deref(), Some("1013"));
        let photos: Vec<Option<Found>> = answer.data.into_iter().map(found).collect();
        let first = photos[0].as_ref().expect("a photo");
        assert_eq!(
            (first.likes, first.created, first.url.as_str()),
            (15, Some(1_441_000_000), "http://i/a.jpg")
        );
        assert_eq!(photos[1], None);
    }
}
