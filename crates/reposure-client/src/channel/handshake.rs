//! The handshake of a WebSocket, with protocols of our choice: kube knows two alone. See [RFC 6455, 4][1].
//!
//! [1]: https://www.rfc-editor.org/rfc/rfc6455#section-4

use http::{HeaderMap, Request, header};
use kube::client::Body as KubeBody;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

/// What is asked for, and what proves that the answer is one to it.
#[derive(Debug)]
pub(super) struct Handshake<'a> {
    key: String,
    protocols: &'a [&'static str],
}

impl<'a> Handshake<'a> {
    /// Asks for the first of these protocols that the other side speaks.
    pub(super) fn new(protocols: &'a [&'static str]) -> Self {
        Self { key: generate_key(), protocols }
    }

    pub(super) fn request(&self, path: &str) -> Result<Request<KubeBody>, http::Error> {
        Request::get(path)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &self.key)
            // In one header: only the first one is read.
            .header(header::SEC_WEBSOCKET_PROTOCOL, self.protocols.join(", "))
            .body(KubeBody::empty())
    }

    /// Returns the protocol of the socket behind an answer that says yes, if it is one to this.
    pub(super) fn protocol(&self, answer: &HeaderMap) -> Option<&'static str> {
        let value = |name| answer.get(name).and_then(|value| value.to_str().ok());
        let is = |name, wanted: &str| value(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
        let accepted = value(header::SEC_WEBSOCKET_ACCEPT)? == derive_accept_key(self.key.as_bytes());
        if !accepted || !is(header::CONNECTION, "Upgrade") || !is(header::UPGRADE, "websocket") {
            return None;
        }
        let chosen = value(header::SEC_WEBSOCKET_PROTOCOL)?;
        self.protocols.iter().copied().find(|protocol| *protocol == chosen)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_an_answer_to_the_request_opens_a_socket() {
        let handshake = Handshake::new(&["a", "b"]);
        let request = handshake.request("/path").unwrap();
        assert_eq!(request.headers()[header::SEC_WEBSOCKET_PROTOCOL], "a, b");
        let accept = derive_accept_key(request.headers()[header::SEC_WEBSOCKET_KEY].as_bytes());
        let answer = |protocol: &str, accept: &str| {
            HeaderMap::from_iter([
                (header::CONNECTION, HeaderValue::from_static("upgrade")),
                (header::UPGRADE, HeaderValue::from_static("WebSocket")),
                (header::SEC_WEBSOCKET_ACCEPT, accept.parse().unwrap()),
                (header::SEC_WEBSOCKET_PROTOCOL, protocol.parse().unwrap()),
            ])
        };
        assert_eq!(handshake.protocol(&answer("b", &accept)), Some("b"));
        assert_eq!(handshake.protocol(&answer("c", &accept)), None);
        assert_eq!(handshake.protocol(&answer("b", "other")), None);
        let mut other = answer("a", &accept);
        other.remove(header::UPGRADE);
        assert_eq!(handshake.protocol(&other), None);
    }
}
