//! What answers say about asking again. Flows in: headers. Flows out: waits and addresses.
//!
//! A server's times are taken off its own `Date`: the clock of this machine may be wrong.

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, LINK, RETRY_AFTER};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest wait that is believed: an hour and a bit, which is what networks' windows last.
const LONGEST: Duration = Duration::from_secs(3700);

/// How long an answer asks to wait before the next call, if it does: `Retry-After`, or a rate limit that is used
/// up (`X-RateLimit-Remaining: 0`) until its reset, given as a date, as seconds from now or since 1970.
pub fn wait(headers: &HeaderMap) -> Option<Duration> {
    let now = server_now(headers);
    if let Some(text) = text(headers, RETRY_AFTER.as_str()) {
        let seconds = text.parse().ok().map(Duration::from_secs);
        return seconds.or_else(|| until(date(text)?, now)).map(|wait| wait.min(LONGEST));
    }
    let remaining: f64 = text(headers, "x-ratelimit-remaining")?.parse().ok()?;
    if remaining > 0.0 {
        return None;
    }
    Some(reset(text(headers, "x-ratelimit-reset"), now).unwrap_or(Duration::from_secs(60)))
}

/// From now until a reset.
fn reset(text: Option<&str>, now: f64) -> Option<Duration> {
    let text = text?;
    let wait = match text.parse::<f64>() {
        // No window lasts for years.
        Ok(seconds) if seconds > 1e8 => until(seconds, now)?,
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => until(date(text)?, now)?,
    };
    Some(wait.min(LONGEST))
}

fn until(then: f64, now: f64) -> Option<Duration> {
    Duration::try_from_secs_f64((then - now).max(0.0)).ok()
}

/// Seconds since 1970 by the server's clock, or by ours where it shows none.
fn server_now(headers: &HeaderMap) -> f64 {
    let ours = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    text(headers, DATE.as_str()).and_then(date).unwrap_or_else(ours)
}

/// Seconds since 1970 of a date as HTTP or ISO 8601 write it.
pub fn date(text: &str) -> Option<f64> {
    let date = DateTime::parse_from_rfc2822(text).or_else(|_| DateTime::parse_from_rfc3339(text));
    date.ok().map(|date| date.timestamp_millis() as f64 / 1000.0)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The address of the next page in a `Link` header (RFC 8288).
pub fn next_link(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split(',')).find_map(|link| {
        let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next = |p: &str| {
            let (name, value) = p.split_once('=')?;
            let relations = value.trim().trim_matches('"').split_ascii_whitespace();
            (name.trim() == "rel" && relations.into_iter().any(|r| r == "next")).then_some(())
        };
        parameters.split(';').find_map(next).map(|()| address.to_string())
    })
}

/// The first byte of a partial answer and the length of the whole, where `Content-Range` tells both.
pub fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = text(headers, "content-range")?.strip_prefix("bytes ")?;
    let (range, total) = range.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, total.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    fn seconds(pairs: &[(&str, &str)]) -> Option<f64> {
        wait(&headers(pairs)).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn waits_are_counted_by_the_servers_clock() {
        let date = ("date", "Tue, 24 Nov 2026 10:00:00 GMT");
        assert_eq!(seconds(&[("retry-after", "7")]), Some(7.0));
        assert_eq!(seconds(&[date, ("retry-after", "Tue, 24 Nov 2026 10:01:30 GMT")]), Some(90.0));
        let used = ("x-ratelimit-remaining", "0");
        assert_eq!(
            seconds(&[date, used, ("x-ratelimit-reset", "2026-11-24T10:05:00.000Z")]),
            Some(300.0)
        );
        assert_eq!(seconds(&[date, used, ("x-ratelimit-reset", "1795514460")]), Some(60.0));
        assert_eq!(seconds(&[used, ("x-ratelimit-reset", "12")]), Some(12.0));
        assert_eq!(seconds(&[used]), Some(60.0));
        assert_eq!(seconds(&[("x-ratelimit-remaining", "1")]), None);
        assert_eq!(seconds(&[]), None);
    }

    #[test]
    fn nonsense_is_no_wait_of_a_century() {
        assert_eq!(seconds(&[("retry-after", "99999999999")]), Some(3700.0));
        assert_eq!(seconds(&[("retry-after", "-3")]), None);
        let used = ("x-ratelimit-remaining", "0");
        for reset in ["NaN", "-5", "soon", "1e300"] {
            let wait = seconds(&[used, ("x-ratelimit-reset", reset)]).expect("a wait");
            assert!((0.0..=3700.0).contains(&wait), "{reset}: {wait}");
        }
    }

    #[test]
    fn links_and_ranges() {
        let next = |value| next_link(&headers(&[("link", value)]));
        let both = "<https://a/b?max_id=7>; rel=\"next\", <https://a/b?min_id=9>; rel=\"prev\"";
        assert_eq!(next(both).as_deref(), Some("https://a/b?max_id=7"));
        assert_eq!(
            next("<https://a/b>; title=x; rel=\"last next\"").as_deref(),
            Some("https://a/b")
        );
        assert_eq!(next("<https://a/b>; rel=prev"), None);
        assert_eq!(next("https://a/b; rel=next"), None);
        let range = |value| content_range(&headers(&[("content-range", value)]));
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(range("bytes */10"), None);
    }
}
