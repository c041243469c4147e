//! `GET /v2/`.

use http::{HeaderName, Method, header};

use super::{
    answer::{plain, refuse_html, text_of},
    call::Call,
    client::Client,
    error::Error,
    limits::ERROR_BODY,
    operation::{Action, Operation},
};
use crate::transport::Transport;

/// What a registry says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// `Docker-Distribution-Api-Version`, `registry/2.0` where it is there; Distribution, Harbor and others send it.
    pub api_version: Option<String>,
    /// `Server`: a proxy's name as often as a registry's.
    pub server: Option<String>,
}

impl<T: Transport> Client<T> {
    /// Asks whether there is a registry that takes the transport's credentials.
    ///
    /// # Errors
    /// When there is none, or it does not; a web page is no registry.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn ping(&self) -> Result<Ping, Error> {
        const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
        let call = Call::new(Operation::global(Action::Ping), Method::GET, "/v2/".into());
        let answer = self.call(&call, ERROR_BODY).await?;
        let headers = answer.headers();
        refuse_html(answer.status(), headers, answer.body()).map_err(|failure| call.error(failure))?;
        let text = |name| text_of(headers, &name).map(plain);
        Ok(Ping { api_version: text(API_VERSION), server: text(header::SERVER) })
    }
}
