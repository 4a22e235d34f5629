//! One connection from its first byte to its last. Flows in: a stream. Flows out: answers; the connection's end.
//!
//! hyper reads requests within bounds of size and time. What it leaves to us is the end: who closes a connection on which
//! something unread has come in resets it, and a reset may take the answer away from a client that was still sending.

use super::settings::Patience;
use super::stalled::Stalled;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// Most bytes of a request's head.
const LARGEST_HEAD: usize = 32 << 10;

/// Most headers of a request.
const MOST_HEADERS: usize = 64;

/// How long, and for how many bytes, a client that is still sending is listened to after its answer.
const LINGER: (Duration, u64) = (Duration::from_secs(3), 64 << 20);

/// Serves a connection until it ends, or until `stop` turns true and what was begun is answered.
pub(super) async fn serve(
    stream: TcpStream,
    app: Router,
    patience: Patience,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are written whole.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Stalled::new(stream, patience.stalled));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_headers(MOST_HEADERS)
        .max_header_size(LARGEST_HEAD)
        .serve_connection(io, TowerToHyperService::new(app));
    let mut leaves = false;
    let ended = {
        let mut told = pin!(stop.wait_for(|stop| *stop));
        poll_fn(|cx| {
            if !leaves && told.as_mut().poll(cx).is_ready() {
                leaves = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            connection.poll_without_shutdown(cx)
        })
        .await
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    if ended.is_err_and(|e| e.is_timeout()) && !parts.read_buf.is_empty() {
        let _ = stream
            .write_all(&short("408 Request Timeout", "too_slow", "the request came too slowly"))
            .await;
    }
    // At the end nobody is waited for who has nothing more to hear.
    if !leaves {
        linger(&mut stream).await;
    }
}

/// Tells a client that there is no place for it.
pub(super) async fn turn_away(stream: TcpStream, patience: Patience) {
    let mut stream = Stalled::new(stream, patience.stalled);
    let answer = short(
        "503 Service Unavailable",
        "unavailable",
        "too many connections; try again in a second",
    );
    let _ = stream.write_all(&answer).await;
    linger(&mut stream).await;
}

/// An answer to what is no request yet.
fn short(status: &str, code: &str, message: &str) -> Vec<u8> {
    let body = format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"{message}\"}}}}");
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Says that no more will come, and reads on for a while.
async fn linger(stream: &mut Stalled) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let (time, bytes) = LINGER;
    let _ = timeout(time, tokio::io::copy(&mut stream.take(bytes), &mut tokio::io::sink())).await;
}
