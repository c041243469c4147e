//! Until when the kubeconfig's credentials are good. They themselves are never shown.

mod plugin;
mod token;

use jiff::{SignedDuration, Timestamp};
use kube::config::AuthInfo;
use reposure_oci::direct::Validity;
use secrecy::{ExposeSecret as _, SecretString};

use super::{check::Check, figures::Figures};
use crate::{context::Context, exit::Kind};

/// When the end of a certificate is warned of: it is nobody's task to replace it but the user's.
const CERTIFICATE_SOON: SignedDuration = SignedDuration::from_hours(24);
/// When the end of a token is warned of: a push may take longer. Those who give them do so for an hour, and anew well before that.
const TOKEN_SOON: SignedDuration = SignedDuration::from_mins(10);

/// One of the user's credentials.
struct Credential {
    what: String,
    /// Until when it is good, as far as it tells.
    end: Option<Timestamp>,
    soon: SignedDuration,
}

impl Credential {
    fn certificate(what: impl Into<String>, pem: &[u8]) -> Self {
        Self {
            what: what.into(),
            end: Validity::of_pem(pem).map(|validity| validity.not_after),
            soon: CERTIFICATE_SOON,
        }
    }

    fn token(what: impl Into<String>, token: &SecretString) -> Self {
        Self { what: what.into(), end: token::end(token.expose_secret()), soon: TOKEN_SOON }
    }

    fn check(&self, now: Timestamp) -> Check {
        self.judged(now).figures(Figures { expires: self.end, ..Figures::default() })
    }

    fn judged(&self, now: Timestamp) -> Check {
        const NAME: &str = "credentials";
        let Self { what, end, soon } = self;
        let Some(end) = end else {
            return Check::ok(NAME, format!("{what}, which does not say until when it is good"));
        };
        let left = end.duration_since(now);
        if left.is_zero() || left.is_negative() {
            let detail = format!("{what} has expired at {end:.0}, {} ago", human(-left));
            return Check::failed(Kind::Denied, NAME, detail).hint("log in to the cluster again");
        }
        let detail = format!("{what} is good until {end:.0}, for {}", human(left));
        if left < *soon {
            Check::warning(NAME, detail).hint("log in to the cluster again before it ends")
        } else {
            Check::ok(NAME, detail)
        }
    }
}

/// Looks at what the kubeconfig shows the API server.
pub(super) async fn examine(context: &Context) -> Vec<Check> {
    let Ok(user) = context.user().await else { return Vec::new() };
    let now = Timestamp::now();
    credentials(&user).await.iter().map(|credential| credential.check(now)).collect()
}

/// Returns what is shown: a certificate, if there is one, and the first of the rest, as kube does.
async fn credentials(user: &AuthInfo) -> Vec<Credential> {
    client_certificate(user).into_iter().chain(shown_in_requests(user).await).collect()
}

async fn shown_in_requests(user: &AuthInfo) -> Option<Credential> {
    if let Some(provider) = &user.auth_provider {
        let token = provider.config.get("id-token").filter(|_| provider.name == "oidc")?;
        return Some(Credential::token("the provider's token", &token.clone().into()));
    }
    if user.username.is_some() && user.password.is_some() {
        return None;
    }
    if let Some(token) = &user.token {
        return Some(Credential::token("the kubeconfig's token", token));
    }
    if let Some(file) = &user.token_file {
        let token = std::fs::read_to_string(file).ok()?.into();
        return Some(Credential::token(format!("the token in {file}"), &token));
    }
    plugin::credential(user.exec.as_ref()?).await
}

fn client_certificate(user: &AuthInfo) -> Option<Credential> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let pem = match (&user.client_certificate_data, &user.client_certificate) {
        (Some(data), _) => STANDARD.decode(data).ok()?,
        (None, Some(file)) => std::fs::read(file).ok()?,
        (None, None) => return None,
    };
    Some(Credential::certificate("the kubeconfig's certificate", &pem))
}

/// Writes a time for people, in the largest unit of which there are two.
fn human(time: SignedDuration) -> String {
    let seconds = time.as_secs();
    for (length, unit) in [(86_400, "days"), (3600, "hours"), (60, "minutes")] {
        if seconds >= 2 * length {
            return format!("{} {unit}", seconds / length);
        }
    }
    format!("{seconds} s")
}
