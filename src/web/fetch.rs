//! Photos behind URLs that strangers give. Flows in: a URL. Flows out: bytes from the public internet, or a refusal.
//!
//! Such a URL asks this machine to connect to where the caller cannot: to itself, its network, its cloud's metadata. So
//!
//! - a name's addresses are checked ([`address::public`](super::address)) by the resolver that the connection is made with:
//!   there is no second look-up that could say something else;
//! - redirects are followed here, each checked as the first URL was;
//! - no proxy of the environment is used, which would look names up by itself;
//! - connections are not kept, so none is used for a name that has moved.

use super::address::public;
use super::body::{Budget, Collected, Held, too_many_bytes};
use super::refusal::Refusal;
use super::settings::Settings;
use crate::error::{Error, Result};
use axum::body::Bytes;
use axum::http::StatusCode;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Response, Url};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// URLs that are fetched at once: look-ups take threads, and may take long.
const AT_ONCE: usize = 16;

/// Fetches photos.
pub(super) struct Fetcher {
    client: Client,
    rules: Arc<Rules>,
    most: usize,
    patience: Duration,
    places: Semaphore,
    budget: Budget,
}

/// What may be fetched besides what everybody may.
struct Rules {
    hosts: Vec<String>,
    ports: Vec<u16>,
}

/// A name leads to an address that is not public.
#[derive(Debug, thiserror::Error)]
#[error("it leads to an address that is not public")]
struct NotPublic;

impl Fetcher {
    /// Fails where the machine has no certificates.
    pub fn new(settings: &Settings, budget: Budget) -> Result<Self> {
        weights_tools::fetch::use_ring();
        let hosts = settings.url_hosts.iter().map(|host| host.to_ascii_lowercase());
        let rules = Arc::new(Rules { hosts: hosts.collect(), ports: settings.url_ports.clone() });
        let headers = [
            (ACCEPT, HeaderValue::from_static("image/*")),
            // What is packed could be unpacked to more than was counted.
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        ];
        let client = Client::builder()
            .user_agent(concat!("likenet/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter(headers))
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .dns_resolver(Checked(rules.clone()))
            .build()
            .map_err(|e| Error::Invalid(format!("no HTTP client: {e}")))?;
        let (most, patience) = (settings.max_bytes, settings.patience.url);
        Ok(Self { client, rules, most, patience, places: Semaphore::new(AT_ONCE), budget })
    }

    /// The file behind a URL, and the memory that it holds.
    pub async fn fetch(&self, url: &str) -> std::result::Result<(Bytes, Held), Refusal> {
        let late = |_| {
            let message = format!("the URL gave no photo within {:?}", self.patience);
            Refusal::new(StatusCode::GATEWAY_TIMEOUT, "url_too_slow", message)
        };
        tokio::time::timeout(self.patience, self.follow(url)).await.map_err(late)?
    }

    async fn follow(&self, url: &str) -> std::result::Result<(Bytes, Held), Refusal> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await.ok();
        let mut url = Url::parse(url).map_err(|e| refused(&format!("it is none: {e}")))?;
        for _ in 0..=REDIRECTS {
            self.rules.check(&url)?;
            let response = self.client.get(url.clone()).send().await.map_err(|e| failed(&e))?;
            match response.status() {
                StatusCode::OK => return self.read(response).await,
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => {
                    let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                    let to = to.ok_or_else(|| bad_answer("a redirect that leads nowhere"))?;
                    url = url.join(to).map_err(|_| bad_answer("a redirect to what is no URL"))?;
                }
                status => return Err(bad_answer(&format!("status {}", status.as_u16()))),
            }
        }
        Err(bad_answer(&format!("more than {REDIRECTS} redirects")))
    }

    async fn read(&self, mut response: Response) -> std::result::Result<(Bytes, Held), Refusal> {
        if response.content_length().is_some_and(|length| length > self.most as u64) {
            return Err(too_many_bytes(self.most));
        }
        let mut read = Collected::new(self.most);
        while let Some(piece) = response.chunk().await.map_err(|e| failed(&e))? {
            read.push(&piece, &self.budget)?;
        }
        Ok((read.bytes.into(), read.held))
    }
}

impl Rules {
    /// What a URL shows before anybody is asked.
    fn check(&self, url: &Url) -> std::result::Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("it begins with neither http:// nor https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it has a user's name or password in it"));
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if !matches!(port, 80 | 443) && !self.ports.contains(&port) {
            return Err(refused(&format!("port {port} is neither 80 nor 443")));
        }
        let host = url.host_str().unwrap_or("");
        // A resolver is not asked for what is an address already.
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        match address {
            Some(address) if !self.allows(host) && !public(address) => {
                Err(refused(&NotPublic.to_string()))
            }
            _ if host.is_empty() => Err(refused("it names no host")),
            _ => Ok(()),
        }
    }

    fn allows(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']);
        self.hosts.iter().any(|allowed| allowed.trim_matches(['[', ']']) == host)
    }
}

/// Looks names up, and gives their addresses only where all of them are public.
struct Checked(Arc<Rules>);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            let free = rules.allows(&name.as_str().to_ascii_lowercase());
            // One that is not makes the name a trap, whatever the others are.
            if !free && !found.iter().all(|address| public(address.ip())) {
                return Err(NotPublic.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// A URL that is not fetched.
fn refused(why: &str) -> Refusal {
    Refusal::bad("url_refused", format!("the URL is not fetched: {why}"))
}

/// A server that gave no photo.
fn bad_answer(what: &str) -> Refusal {
    let message = format!("the URL gave no photo: its server answered with {what}");
    Refusal::new(StatusCode::BAD_GATEWAY, "url_failed", message)
}

/// A connection that gave no answer. Why is told in few words: more would tell a stranger about this network.
fn failed(error: &reqwest::Error) -> Refusal {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<NotPublic>() {
            return refused(&NotPublic.to_string());
        }
        cause = error.source();
    }
    let message = match error.is_connect() {
        true => "the URL gave no photo: its server cannot be reached",
        false => "the URL gave no photo: its server broke off",
    };
    Refusal::new(StatusCode::BAD_GATEWAY, "url_failed", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, hosts: &[&str], ports: &[u16]) -> Option<&'static str> {
        let hosts = hosts.iter().map(|host| host.to_string()).collect();
        let rules = Rules { hosts, ports: ports.to_vec() };
        let url = Url::parse(url).map_err(|_| refused("it is none"));
        url.and_then(|url| rules.check(&url)).err().map(|refusal| refusal.code)
    }

    #[test]
    fn urls_that_look_wrong_are_refused() {
        for url in [
            "",
            "photo.jpg",
            "//host/a",
            "file:///etc/passwd",
            "ftp://host/a",
            "gopher://host/a",
            "data:image/png;base64,AA",
            "javascript:1",
            "http://",
            "http://user@host/",
            "http://a:b@host/",
            "http://host:22/",
            "http://host:8080/",
            "https://host:80443/",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://0/",
            "http://127.0.0.1./",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fe80::1]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://①②⑦.⓪.⓪.①/",
            "http://10.0.0.1:443/",
        ] {
            assert_eq!(check(url, &[], &[]), Some("url_refused"), "{url}");
        }
        for url in [
            "http://host/",
            "https://host:443/a",
            "https://host:80/",
            "http://1.1.1.1/",
            "https://[2606:4700::1]/a?b",
        ] {
            assert_eq!(check(url, &[], &[]), None, "{url}");
        }
    }

    #[test]
    fn allowances_allow_what_they_name() {
        assert_eq!(check("http://127.0.0.1:8080/", &["127.0.0.1"], &[8080]), None);
        assert_eq!(check("http://[::1]:8080/", &["::1"], &[8080]), None);
        assert_eq!(check("http://127.0.0.1:8080/", &["127.0.0.1"], &[]), Some("url_refused"));
        assert_eq!(check("http://127.0.0.1:8080/", &[], &[8080]), Some("url_refused"));
        assert_eq!(check("http://127.0.0.2:8080/", &["127.0.0.1"], &[8080]), Some("url_refused"));
    }
}
