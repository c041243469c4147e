//! The identity token that a realm has put in another's place.
//!
//! A realm may answer with a new refresh token, and take the old one no more. See [the specification][1] and [RFC 6749, 6][2].
//!
//! [1]: https://distribution.github.io/distribution/spec/auth/oauth/
//! [2]: https://www.rfc-editor.org/rfc/rfc6749#section-6

use url::Url;

use super::{
    credentials::Credentials,
    error::AuthError,
    exchange::{Exchange, Token},
};
use crate::transport::Transport;

/// The newest identity token of a realm, in memory alone: where the first one came from is its user's.
#[derive(Debug, Default)]
pub(crate) struct Refreshed(Option<Newer>);

#[derive(Debug)]
struct Newer {
    realm: Url,
    first: Credentials,
    newest: Credentials,
}

impl Refreshed {
    /// Asks the realm, with the newest of what it gave for these credentials; with themselves where it takes that no more.
    ///
    /// # Errors
    /// As [`Exchange::run`].
    ///
    /// # Cancel safety
    /// A new token that comes with an answer that is not awaited is lost, so that the first one is used again.
    pub(crate) async fn exchange(
        &mut self,
        http: &dyn Transport,
        exchange: &Exchange<'_>,
    ) -> Result<Token, AuthError> {
        let token = match self.instead_of(exchange) {
            Some(newest) => match (Exchange { credentials: newest, ..exchange.clone() }).run(http).await {
                Err(AuthError::Denied { .. }) => exchange.run(http).await?,
                result => result?,
            },
            None => exchange.run(http).await?,
        };
        self.learn(exchange, &token);
        Ok(token)
    }

    fn instead_of(&self, exchange: &Exchange<'_>) -> Option<&Credentials> {
        let is_of = |newer: &&Newer| newer.realm == exchange.realm && newer.first.same(exchange.credentials);
        self.0.as_ref().filter(is_of).map(|newer| &newer.newest)
    }

    /// Takes what the realm gave. No other credentials than an identity token are replaced.
    fn learn(&mut self, exchange: &Exchange<'_>, token: &Token) {
        if let (Credentials::IdentityToken { username, .. }, Some(token)) =
            (exchange.credentials, &token.refresh)
        {
            let newest = Credentials::IdentityToken { username: username.clone(), token: token.clone() };
            self.0 =
                Some(Newer { realm: exchange.realm.clone(), first: exchange.credentials.clone(), newest });
        }
    }
}
