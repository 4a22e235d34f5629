//! What a simulated network says, in the words of three real ones. Flows in: the world, a page. Flows out: JSON.

use super::world::{Oddity, Status, World};
use chrono::DateTime;
use serde_json::{Value, json};

/// Statuses after a cursor (a number; newer ones are passed over), and the cursor behind them if there are more.
pub(super) fn page(world: &World, below: Option<u64>, most: usize) -> (&[Status], Option<u64>) {
    let first = match below {
        Some(below) => world.statuses.partition_point(|s| s.native >= below),
        None => 0,
    };
    let last = (first + most).min(world.statuses.len());
    let page = &world.statuses[first..last];
    let next = page.last().map(|s| s.native).filter(|_| last < world.statuses.len());
    (page, next)
}

fn time(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0)
        .map_or_else(String::new, |t| t.format("%Y-%m-%dT%H:%M:%S.000Z").to_string())
}

/// A status as Mastodon tells of it.
pub(super) fn mastodon(world: &World, base: &str, status: &Status) -> Value {
    let user = &world.users[status.user];
    let (native, name) = (status.native, &user.name);
    let media = match status.oddity {
        Oddity::Video => {
            json!([{ "id": "1", "type": "video", "url": format!("{base}/media/{native}.mp4") }])
        }
        _ => json!([{ "id": "1", "type": "image", "url": format!("{base}/media/{native}.jpg"),
            "description": "a drawn picture" }]),
    };
    json!({
        "id": native.to_string(),
        "created_at": time(status.created),
        "sensitive": status.oddity == Oddity::Sensitive,
        "visibility": "public",
        "reblog": if status.oddity == Oddity::PassedOn { json!({ "id": "1" }) } else { Value::Null },
        "favourites_count": status.likes,
        "url": format!("{base}/@{name}/{native}"),
        "account": {
            "id": (status.user + 1).to_string(),
            "username": name,
            "acct": name,
            "bot": user.bot,
            "noindex": user.opts_out,
            "followers_count": if user.hides { -1 } else { user.followers as i64 },
            "note": "<p>Simulated.</p>",
        },
        "media_attachments": media,
    })
}

/// A photo as Instagram told of it at the time of the study.
pub(super) fn instagram_v1(world: &World, base: &str, status: &Status) -> Value {
    let user = &world.users[status.user];
    let native = status.native;
    let url = format!("{base}/media/{native}.jpg");
    json!({
        "id": native.to_string(),
        "type": if status.oddity == Oddity::Video { "video" } else { "image" },
        "created_time": status.created.to_string(),
        "link": format!("{base}/p/{native}/"),
        "likes": { "count": status.likes },
        "user": { "id": (status.user + 1).to_string(), "username": user.name },
        "images": { "standard_resolution": { "url": url, "width": 640, "height": 640 } },
    })
}

/// A photo as Instagram tells its owner of it today.
pub(super) fn instagram_graph(base: &str, status: &Status) -> Value {
    let native = status.native;
    let video = status.oddity == Oddity::Video;
    json!({
        "id": native.to_string(),
        "media_type": if video { "VIDEO" } else { "IMAGE" },
        "media_url": format!("{base}/media/{native}.{}", if video { "mp4" } else { "jpg" }),
        "permalink": format!("{base}/p/{native}/"),
        "timestamp": time(status.created).replace(".000Z", "+0000"),
        "like_count": status.likes,
    })
}

#[cfg(test)]
mod tests {
    use super::super::world::Settings;
    use super::*;

    #[test]
    fn pages_hold_every_status_once() {
        let world = World::new(Settings { photos: 95, ..Settings::default() }).expect("one");
        let (mut below, mut seen) = (None, vec![]);
        loop {
            let (statuses, next) = page(&world, below, 40);
            seen.extend(statuses.iter().map(|s| s.native));
            match next {
                Some(next) => below = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, world.statuses.iter().map(|s| s.native).collect::<Vec<_>>());
        assert_eq!(page(&world, Some(0), 40).0.len(), 0);
    }
}
