//! `reposure registry revoke NAME`

use anyhow::Result;
use clap::{ArgGroup, Args};
use reposure_admin::grant;
use reposure_parcel::wire::Right;

use super::subject::{LevelArgs, SUBJECTS, SubjectArgs, failed};
use crate::{
    commands::report,
    connect,
    context::Context,
    exit::{Failure, Kind},
};

/// Take from users, groups or ServiceAccounts what was granted on a registry
///
/// Without a level, all of them are taken. What they have by other roles, such as edit, stays: see reposure registry access.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("named").required(true).multiple(true).args(SUBJECTS)))]
pub(crate) struct RevokeArgs {
    /// The name
    name: String,
    #[command(flatten)]
    level: LevelArgs,
    #[command(flatten)]
    subjects: SubjectArgs,
}

pub(super) async fn run(context: &Context, args: &RevokeArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let registry = connect::find(&cluster, &args.name).await?;
    let subjects = args.subjects.subjects(&cluster.namespace);
    let levels = args.level.level().map_or_else(|| Right::ALL.to_vec(), |level| vec![level]);
    let mut changed = Vec::new();
    for level in levels {
        let done = grant::revoke(&cluster.client, &registry, level, &subjects).await;
        let what = format!("revoke {level} on");
        changed.extend(done.map_err(|error| failed(&what, &args.name, &cluster.namespace, error))?);
    }
    if changed.is_empty() {
        let message = format!("none of them was granted this on registry {}", args.name);
        let hint = format!("see who was: reposure registry access {}", args.name);
        return Err(Failure::new(Kind::NotFound, message).hint(hint).into());
    }
    report::changes(context, &changed)
}
