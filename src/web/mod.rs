//! Photos scored over HTTP, and a page for it. Flows in: photos that browsers and programs send. Flows out: JSON, and the page
//! that shows it.
//!
//! ```text
//! connection → guard (who may call) → routes ─┬ assets (the page)
//!  (hyper)                                    └ api: body → multipart ─┬→ decode → batch → engine → answer
//!                                                    URL  → fetch ─────┘
//! ```
//!
//! Everything is bounded: connections, heads, bodies, pixels, memory, waiting photos, and the time that each may take. Nothing
//! is written to the disk. [`Engine`] is what scores; `docs/web.md` tells the rest.

mod address;
mod answer;
mod api;
mod batch;
mod body;
mod connection;
mod decode;
mod engine;
mod fetch;
mod guard;
mod inside;
mod metrics;
mod multipart;
mod refusal;
mod routes;
mod server;
mod settings;
mod stalled;
mod training;

pub use engine::{About, Alike, Engine, Engines, Explanation, Map, Score};
pub use server::Server;
pub use settings::{Patience, Settings};
