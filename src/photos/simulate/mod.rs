//! A photo network that nobody lives in, for learners, tests and measurements.
//!
//! Flows in: a seed and some numbers. Flows out: a server that speaks like Mastodon, like Instagram of the study's
//! time and like Instagram of today, with photos that this program draws, and likes that follow a stated law.
//!
//! ```text
//! law ─ world (users, photos, likes) ─ server ─┬ shapes (JSON)
//! paint (pictures) ────────────────────────────┴ faults (at set rates), meter (how often it is asked)
//! ```
//!
//! Because the law is known, so is how well any ranking could do: [`World::appeal`].

mod faults;
mod law;
mod meter;
pub mod paint;
mod server;
mod shapes;
mod world;

pub use faults::Faults;
pub use law::Law;
pub use meter::Measured;
pub use server::{Options, Server};
pub use world::{Settings, World, midnight};
