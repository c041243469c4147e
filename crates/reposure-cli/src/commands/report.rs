//! What was changed in the cluster, a line for each object.

use anyhow::Result;
use reposure_admin::{Applied, Change, install::User};
use reposure_api::names;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{context::Context, format::Format, output, printable};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    kind: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    change: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    user: Option<Login>,
}

/// A user who was made, with the Secret that lets him in.
#[derive(Serialize)]
struct Login {
    username: String,
    password: String,
}

/// Prints as `kubectl apply` does: `deployment/reposure-operator created`.
pub(super) fn changes(context: &Context, applied: &[Applied]) -> Result<()> {
    changes_and_user(context, applied, None)
}

/// Prints what was changed, and the user who was made, who is not shown again: as `NAME:PASSWORD` behind the lines, or as data with his Secret.
pub(super) fn changes_and_user(context: &Context, applied: &[Applied], user: Option<&User>) -> Result<()> {
    let lines: Vec<Line> = applied.iter().map(|applied| line(applied, user)).collect();
    match context.format() {
        format @ (Format::Json | Format::Yaml) => return output::structured(format, &lines),
        Format::Name => return output::print(&text(&lines, |_| String::new())),
        _ => output::print(&text(&lines, |line| format!(" {}", line.change)))?,
    }
    let Some(user) = user else { return Ok(()) };
    let (name, secret) = (printable::line(&user.name), names::SIMPLE_AUTHORIZATION);
    eprintln!(
        "User {name} may do everything. Name and password, which are in Secret {secret} too and not shown again:"
    );
    output::write(&format!("{}:{}\n", user.name, user.password.expose_secret()))
}

fn text(lines: &[Line], end: impl Fn(&Line) -> String) -> String {
    output::lines(lines.iter().map(|line| format!("{}/{}{}", line.kind.to_lowercase(), line.name, end(line))))
}

fn line(applied: &Applied, user: Option<&User>) -> Line {
    let of_secret = |name| applied.object.kind == "Secret" && applied.object.name == name;
    Line {
        kind: applied.object.kind.clone(),
        name: applied.object.name.clone(),
        namespace: applied.object.namespace.clone(),
        change: match applied.change {
            Change::Created => "created",
            Change::Updated => "configured",
            Change::Unchanged => "unchanged",
            Change::Deleted => "deleted",
        },
        user: user.filter(|_| of_secret(names::SIMPLE_AUTHORIZATION)).map(|user| Login {
            username: user.name.clone(),
            password: user.password.expose_secret().into(),
        }),
    }
}
