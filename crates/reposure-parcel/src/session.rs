//! A session of the channel `exec`: HTTP/2 over the standard input and output of `reposure-surrogate session`.
//!
//! The process joins the surrogate that runs in its pod by a Unix socket. Before anything else it writes a line, its greeting: an API
//! server says yes to a session before it has reached the pod, and a container may print what it likes.

use std::time::Duration;

use crate::wire;

/// The name of the surrogate's socket in the abstract namespace, which its pod alone sees.
pub const SOCKET: &str = "reposure-surrogate";
/// The program in the surrogate's image.
pub const PROGRAM: &str = "/reposure-surrogate";
/// What the program is to do.
pub const COMMAND: &str = "session";
/// The surrogate's container.
pub const CONTAINER: &str = "surrogate";
/// The longest greeting, in bytes, with its end.
pub const GREETING: usize = 256;
/// What the process says to the surrogate first, a single byte, and with it hands its standard input and output over.
pub const HANDED: u8 = b'H';
/// What it says where it copies, and what it is told where nothing arrived with [`HANDED`].
pub const COPIED: u8 = b'C';
/// What a greeting begins with.
const MAGIC: &str = "reposure-session ";

/// The window of a stream, in bytes: a round trip of 100 ms at 160 MB/s. A server's usual 1 MiB are 8 MiB/s at 80 ms, measured.
pub const STREAM_WINDOW: u32 = 16 << 20;
/// The window of a connection, in bytes: what a client may have in flight.
pub const CONNECTION_WINDOW: u32 = 32 << 20;
/// The largest frame, in bytes: with its head it is a message in the WebSocket.
pub const FRAME: u32 = 64 << 10;

/// How often either side of HTTP/2 asks for a sign of life: middle boxes cut what is silent for 20 s.
pub const PING: Duration = Duration::from_secs(10);
/// How long the sign of life may take, behind what is on its way.
pub const PONG_DEADLINE: Duration = Duration::from_secs(30);
/// How long a session may bring not a single byte, each of which is a sign of life: see [`crate::watched`].
pub const SILENCE: Duration = PING.saturating_add(PONG_DEADLINE);
/// How long the answer to a question for a sign of life may take in a session that is watched: it decides nothing.
pub const ANY_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// What either side of HTTP/2 holds back of a message, in bytes.
pub const SEND_BUFFER: usize = 1 << 20;

/// Returns the line of a program of this build.
pub fn greeting(build: &str) -> String {
    format!("{MAGIC}{} {build}\n", wire::VERSION)
}

/// Tells whether a line, without its end, is a greeting.
///
/// The versions that are spoken are in the hello; a greeting says only that there is somebody to say hello to.
pub fn is_greeting(line: &[u8]) -> bool {
    line.starts_with(MAGIC.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_known_and_nothing_else() {
        let line = greeting("0.2.0");
        assert!(line.len() <= GREETING);
        assert!(is_greeting(line.trim_end().as_bytes()));
        assert!(!is_greeting(b"sh: reposure-session: not found"));
    }
}
