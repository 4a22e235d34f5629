//! Asking networks, politely. Flows in: addresses. Flows out: JSON, or bodies to be read.
//!
//! Each host is asked at most so often ([`Pace`]); failures that pass are tried again, ever later; what an answer
//! says about waiting is obeyed; tokens take turns ([`Rotation`]). Errors tell the address without what follows
//! its `?`, where tokens stand.

mod headers;
mod pace;
mod token;

pub use headers::{content_range, date, next_link, wait};
pub use pace::Pace;
pub use token::{Rotation, Token, tokens};

use crate::error::{Error, Result};
use crate::rng::Rng;
use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::{Client, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The longest answer of JSON that is read.
const LONGEST_JSON: usize = 64 << 20;

/// How networks are asked.
#[derive(Clone, Debug)]
pub struct Manners {
    /// Calls a second to one host, at most; without bound where it is 0.
    pub rate: f64,
    /// An address of mail or of a page, told to every server in the `User-Agent`.
    pub contact: String,
    /// How often a call that fails is made in all.
    pub tries: u32,
    /// How long a host that does not answer at all is waited for.
    pub patience: Duration,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The host cannot be reached; another call will not reach it either.
    Unreachable(String),
    /// This time; another try may succeed, after a wait where the server named one.
    Passing(String, Option<Duration>),
    /// The server's lasting no, with its status.
    Refused(u16, String),
    /// Another try would fail as well.
    Lasting(String),
}

impl Failure {
    /// Why, in words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Unreachable(reason)
            | Self::Passing(reason, _)
            | Self::Refused(_, reason)
            | Self::Lasting(reason) => reason,
        }
    }
}

/// Who is told of waits that a person should know of.
pub type Note<'a> = &'a (dyn Fn(&str) + Sync);

/// How a token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In the header `Authorization`.
    Bearer,
    /// As the parameter `access_token` of the address.
    Parameter,
}

/// A client for all hosts.
pub struct Web {
    client: Client,
    manners: Manners,
    paces: Mutex<HashMap<String, Arc<Pace>>>,
    dice: Mutex<Rng>,
}

impl Web {
    /// A client with these manners.
    ///
    /// Fails where the contact cannot be part of a header, and where the machine has no certificates.
    pub fn new(manners: Manners) -> Result<Self> {
        weights_tools::fetch::use_ring();
        let agent = format!("likenet/{} (+{})", env!("CARGO_PKG_VERSION"), manners.contact);
        let client = Client::builder()
            .user_agent(agent)
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(30))
            .pool_idle_timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::limited(5))
            .build()
            .map_err(|e| Error::Invalid(format!("no HTTP client: {}", causes(&e))))?;
        let dice = Mutex::new(Rng::new(u64::from(std::process::id())));
        Ok(Self { client, manners, paces: Mutex::default(), dice })
    }

    /// Its manners.
    pub fn manners(&self) -> &Manners {
        &self.manners
    }

    /// The pace of an address's host.
    pub fn pace(&self, url: &Url) -> Arc<Pace> {
        let host = format!("{}:{:?}", url.host_str().unwrap_or(""), url.port_or_known_default());
        let mut paces = self.paces.lock().unwrap_or_else(|e| e.into_inner());
        paces.entry(host).or_insert_with(|| Arc::new(Pace::new(self.manners.rate))).clone()
    }

    /// Asks once, in the host's turn. Gives answers of success only.
    pub async fn get(
        &self,
        url: &Url,
        token: Option<(&Token, Shown)>,
        headers: HeaderMap,
    ) -> std::result::Result<Response, Failure> {
        self.pace(url).turn().await;
        let mut asked = url.clone();
        let mut request_headers = headers;
        match token {
            Some((token, Shown::Parameter)) => {
                asked.query_pairs_mut().append_pair("access_token", token.reveal());
            }
            Some((token, Shown::Bearer)) => {
                let value = format!("Bearer {}", token.reveal()).parse();
                let mut value: reqwest::header::HeaderValue =
                    value.map_err(|_| Failure::Lasting("the token is no header".into()))?;
                value.set_sensitive(true);
                request_headers.insert(reqwest::header::AUTHORIZATION, value);
            }
            None => {}
        }
        let sent = self.client.get(asked).headers(request_headers).send().await;
        let response = sent.map_err(|e| failure(url, e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = wait(response.headers());
        let reason = format!("{}: the server answered {status}", plain(url));
        let passes = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        Err(match passes {
            true => Failure::Passing(reason, wait),
            false => Failure::Refused(status.as_u16(), reason),
        })
    }

    /// Asks for JSON until there is some, and gives it with the answer's headers.
    ///
    /// Fails where the answer is a lasting no, where all tries failed, and where a host does not answer at all for
    /// longer than the patience lasts. Waits for rate limits are no tries.
    pub async fn json<T: DeserializeOwned>(
        &self,
        url: &Url,
        rotation: &Rotation,
        shown: Shown,
        note: Note<'_>,
    ) -> std::result::Result<(T, HeaderMap), Failure> {
        let (mut tries, mut silent) = (0, None);
        loop {
            let token = rotation.next();
            if let Some((_, _, wait)) = &token
                && !wait.is_zero()
            {
                note(&format!("rate limit of {}: waiting {} s", plain(url), wait.as_secs() + 1));
                sleep(*wait).await;
            }
            let answer = self.once(url, token.as_ref().map(|(_, t, _)| (*t, shown))).await;
            let rest = match &answer {
                Ok((_, headers)) => headers::wait(headers),
                Err(Failure::Passing(_, wait)) => *wait,
                Err(_) => None,
            };
            if let Some(wait) = rest {
                match &token {
                    Some((number, ..)) => rotation.rest(*number, wait),
                    None => self.pace(url).rest(wait),
                }
                if token.is_none() && answer.is_err() {
                    note(&format!("{} asks to wait {} s", plain(url), wait.as_secs() + 1));
                }
            }
            let failure = match answer {
                Ok((bytes, headers)) => match parse(url, &bytes) {
                    Ok(value) => return Ok((value, headers)),
                    Err(failure) => failure,
                },
                Err(Failure::Passing(..)) if rest.is_some() => continue,
                Err(failure) => failure,
            };
            match failure {
                Failure::Refused(..) | Failure::Lasting(_) => return Err(failure),
                Failure::Passing(..) => {
                    tries += 1;
                    if tries >= self.manners.tries {
                        return Err(Failure::Lasting(format!(
                            "{}; given up after {tries} tries",
                            failure.reason()
                        )));
                    }
                    sleep(self.backoff(tries)).await;
                }
                Failure::Unreachable(_) => {
                    let since = *silent.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.manners.patience {
                        return Err(failure);
                    }
                    note(&format!("{}; trying again", failure.reason()));
                    sleep(self.backoff(3)).await;
                }
            }
        }
    }

    async fn once(
        &self,
        url: &Url,
        token: Option<(&Token, Shown)>,
    ) -> std::result::Result<(Vec<u8>, HeaderMap), Failure> {
        let accept = (ACCEPT, reqwest::header::HeaderValue::from_static("application/json"));
        let mut response = self.get(url, token, HeaderMap::from_iter([accept])).await?;
        let mut bytes = vec![];
        while let Some(part) = response.chunk().await.map_err(|e| failure(url, e))? {
            bytes.extend_from_slice(&part);
            if bytes.len() > LONGEST_JSON {
                return Err(Failure::Lasting(format!("{}: an endless answer", plain(url))));
            }
        }
        Ok((bytes, response.headers().clone()))
    }

    /// How long to wait before try number `tries` + 1: twice as long each time, half of it by chance so that
    /// callers who failed together do not come back together.
    pub fn backoff(&self, tries: u32) -> Duration {
        let most = Duration::from_millis(250) * 2u32.pow(tries.min(8));
        let mut dice = self.dice.lock().unwrap_or_else(|e| e.into_inner());
        most.mul_f64(0.5 + 0.5 * dice.unit())
    }
}

fn parse<T: DeserializeOwned>(url: &Url, bytes: &[u8]) -> std::result::Result<T, Failure> {
    // A page of HTML with status 200 is what a proxy or an overloaded server shows for a while.
    serde_json::from_slice(bytes).map_err(|e| {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).replace('\n', " ");
        let kind =
            if start.trim_start().starts_with('<') { "a page of HTML" } else { "no such JSON" };
        Failure::Passing(
            format!("{}: {kind} instead of what was asked for ({e})", plain(url)),
            None,
        )
    })
}

/// A failure below HTTP.
pub fn failure(url: &Url, error: reqwest::Error) -> Failure {
    let (connect, builder) = (error.is_connect(), error.is_builder() || error.is_redirect());
    let reason = format!("{}: {}", plain(url), causes(&error.without_url()));
    match (connect, builder) {
        (true, _) => Failure::Unreachable(reason),
        (_, true) => Failure::Lasting(reason),
        _ => Failure::Passing(reason, None),
    }
}

/// An address without its parameters and its user.
pub fn plain(url: &Url) -> String {
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or(""), url.path())
}

/// An error and what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Reads an address.
pub fn parse_url(text: &str) -> Result<Url> {
    let wrong =
        |reason: &str| Error::Invalid(format!("'{text}' is no address of the web: {reason}"));
    let url = Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(wrong("it begins with neither http:// nor https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        let url = parse_url("http://user:word@host:8080/a/b?access_token=secret#x").expect("one");
        assert_eq!(plain(&url), "http://host:8080/a/b");
        assert!(parse_url("ftp://host/a").is_err() && parse_url("host/a").is_err());
    }

    #[test]
    fn waits_grow_and_differ() {
        let manners =
            Manners { rate: 0.0, contact: "mailto:a@b".into(), tries: 3, patience: Duration::ZERO };
        let web = Web::new(manners).expect("a client");
        for tries in 0..12 {
            let most = 250 * 2u128.pow(tries.min(8));
            let wait = web.backoff(tries).as_millis();
            assert!(wait * 2 >= most - 1 && wait <= most, "{tries}: {wait} of {most}");
        }
        assert_ne!(web.backoff(8), web.backoff(8));
    }

    #[test]
    fn html_is_worth_another_try() {
        let url = parse_url("http://host/a?x=1").expect("one");
        let said = parse::<Vec<u32>>(&url, b"\n<!DOCTYPE html>").expect_err("HTML");
        assert!(matches!(&said, Failure::Passing(why, None) if why.contains("a page of HTML")));
        assert_eq!(parse::<Vec<u32>>(&url, b"[1,2]").expect("JSON"), [1, 2]);
    }
}
