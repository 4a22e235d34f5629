//! Who there is in a simulated network, and what they show. Flows in: a seed. Flows out: users and photos.

use super::law::Law;
use super::paint::{Kind, Looks, Painted, Subject, paint};
use crate::error::{Error, Result};
use crate::rng::Rng;
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// How large a world is, and what it is like.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Everything follows from it.
    pub seed: u64,
    /// Users.
    pub users: usize,
    /// Statuses, most of them with a photo.
    pub photos: usize,
    /// Pixels along a photo's longer side.
    pub side: u32,
    /// Seconds since 1970 when the newest photo was shown.
    pub now: i64,
    /// Share of the photos whose file is gone.
    pub gone: f64,
    /// How likes come about.
    pub law: Law,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            users: 400,
            photos: 2000,
            side: 320,
            now: 1_790_000_000,
            gone: 0.01,
            law: Law::default(),
        }
    }
}

/// Days over which photos are spread.
const DAYS: f64 = 400.0;

/// Somebody.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct User {
    pub name: String,
    pub followers: u64,
    pub bot: bool,
    pub opts_out: bool,
    /// Does not tell how many followers there are.
    pub hides: bool,
}

/// What a status is, besides an ordinary photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    None,
    Sensitive,
    PassedOn,
    Video,
}

/// A status.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Status {
    /// Its number in the network: newer ones have larger numbers.
    pub native: u64,
    pub user: usize,
    pub created: i64,
    pub likes: u64,
    pub oddity: Oddity,
    /// Its file is gone.
    pub gone: bool,
    pub subject: Subject,
    /// Seed of the drawing.
    pub seed: u64,
    /// Somebody else's photo, shown again: compressed once more.
    pub copied: bool,
    pub appeal: f64,
}

/// A simulated network's content.
pub struct World {
    settings: Settings,
    pub(super) users: Vec<User>,
    /// Newest first.
    pub(super) statuses: Vec<Status>,
    places: HashMap<u64, usize>,
}

impl World {
    /// A world. The same settings give the same one.
    ///
    /// Fails where there is nobody, or no photo, or pictures are too small or too large to be drawn.
    pub fn new(settings: Settings) -> Result<Self> {
        let Settings { users, photos, side, gone, .. } = settings;
        if users == 0 || photos == 0 || !(32..=4096).contains(&side) || !(0.0..=1.0).contains(&gone)
        {
            return Err(Error::Invalid(format!(
                "a world of {users} users, {photos} photos of {side} pixels (32 to 4096), of which a share of {gone} is \
                 gone, cannot be"
            )));
        }
        let mut rng = Rng::new(settings.seed);
        let users: Vec<User> = (0..users).map(|i| user(i, &mut rng)).collect();
        let mut statuses: Vec<Status> = vec![];
        for i in 0..photos {
            let status = status(i, &users, &statuses, &settings, &mut rng);
            statuses.push(status);
        }
        let places = statuses.iter().enumerate().map(|(i, s)| (s.native, i)).collect();
        Ok(Self { settings, users, statuses, places })
    }

    /// What it was made from.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where a status is, by its number.
    pub(super) fn place(&self, native: u64) -> Option<usize> {
        self.places.get(&native).copied()
    }

    fn named(&self, native: &str) -> Option<&Status> {
        self.place(native.parse().ok()?).map(|place| &self.statuses[place])
    }

    /// What can be seen of a photo's rate of likes ([`Law::appeal`]), by the network's name for the photo.
    pub fn appeal(&self, native: &str) -> Option<f64> {
        self.named(native).map(|status| status.appeal)
    }

    /// What a photo shows.
    pub fn kind(&self, native: &str) -> Option<Kind> {
        self.named(native).map(|status| status.subject.kind)
    }

    /// Draws a photo.
    pub(super) fn draw(&self, status: &Status) -> Painted {
        paint(&status.subject, status.seed, self.settings.side)
    }

    /// The truth about every photo, as CSV: a comment with the law, then what each shows, its looks, its appeal.
    pub fn truth(&self) -> String {
        let line = |s: &Status| {
            let looks = s.subject.looks;
            format!(
                "{},{:?},{:.4},{:.4},{:.4},{:.4},{:.6},{}\n",
                s.native,
                s.subject.kind,
                looks.warmth,
                looks.brightness,
                looks.saturation,
                looks.clutter,
                s.appeal,
                s.likes
            )
        };
        let law = self.settings.law.words();
        let columns = "native,kind,warmth,brightness,saturation,clutter,appeal,likes";
        let head = format!("# {law}\n{columns}\n");
        self.statuses.iter().fold(head, |text, status| text + &line(status))
    }
}

/// The last midnight, in seconds since 1970: a world that is made again on the same day is the same.
pub fn midnight() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    now - now % 86_400
}

fn user(number: usize, rng: &mut Rng) -> User {
    let ordinary = f64::from(rng.gaussian(5.3, 1.1)).exp();
    let chance = rng.unit();
    let followers = match chance {
        // A newcomer, and somebody whom everybody knows.
        c if c < 0.04 => rng.below(6) as f64,
        c if c < 0.06 => ordinary * (200.0 + 1800.0 * rng.unit()),
        _ => ordinary,
    };
    const NAMES: [&str; 12] =
        ["ada", "bo", "cem", "dia", "eli", "fay", "gus", "hana", "ivo", "jun", "kim", "lou"];
    let name = format!("{}{number}", NAMES[rng.below(NAMES.len())]);
    let odd = rng.unit();
    User {
        name,
        followers: followers as u64,
        bot: odd < 0.02,
        opts_out: (0.02..0.04).contains(&odd),
        hides: (0.04..0.05).contains(&odd),
    }
}

fn status(
    number: usize,
    users: &[User],
    others: &[Status],
    settings: &Settings,
    rng: &mut Rng,
) -> Status {
    // Some show much more than others.
    let user = ((users.len() as f64) * rng.unit().powf(1.5)) as usize;
    let age = DAYS * 86_400.0 * (number as f64 + rng.unit()) / settings.photos as f64;
    let mut look = || rng.unit() as f32;
    let looks = Looks { warmth: look(), brightness: look(), saturation: look(), clutter: look() };
    let kind = match rng.unit() {
        c if c < 0.62 => Kind::Portrait,
        c if c < 0.78 => Kind::Landscape,
        c if c < 0.90 => Kind::Meme,
        _ => Kind::Food,
    };
    let oddity = match rng.unit() {
        c if c < 0.02 => Oddity::Sensitive,
        c if c < 0.05 => Oddity::PassedOn,
        c if c < 0.07 => Oddity::Video,
        _ => Oddity::None,
    };
    let copied = !others.is_empty() && rng.unit() < 0.01;
    let (subject, seed) = match copied {
        true => {
            let original = &others[rng.below(others.len())];
            (original.subject, original.seed)
        }
        false => (Subject { kind, looks }, rng.bits()),
    };
    let appeal = settings.law.appeal(&subject);
    Status {
        native: 110_000_000_000 + (settings.photos - number) as u64 * 7,
        user,
        created: settings.now - age as i64,
        likes: settings.law.likes(appeal, users[user].followers, rng),
        oddity,
        gone: rng.unit() < settings.gone,
        subject,
        seed,
        copied,
        appeal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_world() {
        let world =
            |seed| World::new(Settings { seed, photos: 300, ..Settings::default() }).expect("one");
        assert_eq!(world(4).statuses, world(4).statuses);
        assert_ne!(world(4).statuses, world(5).statuses);
        assert_eq!(world(4).truth().lines().count(), 302);
    }

    #[test]
    fn followers_are_those_of_a_network() {
        let world = World::new(Settings { users: 5000, ..Settings::default() }).expect("one");
        let mut followers: Vec<f64> = world.users.iter().map(|u| u.followers as f64).collect();
        followers.sort_by(f64::total_cmp);
        let mean = followers.iter().sum::<f64>() / followers.len() as f64;
        let spread =
            followers.iter().map(|f| (f - mean).powi(2)).sum::<f64>() / followers.len() as f64;
        let median = followers[2500];
        // Celebrities: the standard deviation is a multiple of the mean, and the mean of the median.
        assert!((150.0..260.0).contains(&median) && mean > 5.0 * median, "{median} {mean}");
        assert!(spread.sqrt() > 4.0 * mean, "{} {mean}", spread.sqrt());
        assert!(followers[0] == 0.0);
    }

    #[test]
    fn photos_are_known_by_their_names() {
        let world = World::new(Settings { photos: 50, ..Settings::default() }).expect("one");
        let status = &world.statuses[17];
        assert_eq!(world.appeal(&status.native.to_string()), Some(status.appeal));
        assert_eq!(world.appeal("x"), None);
        assert!(
            world
                .statuses
                .windows(2)
                .all(|w| w[0].native > w[1].native && w[0].created > w[1].created)
        );
        assert!(World::new(Settings { users: 0, ..Settings::default() }).is_err());
    }
}
