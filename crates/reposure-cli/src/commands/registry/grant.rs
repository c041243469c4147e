//! `reposure registry grant NAME`

use anyhow::Result;
use clap::{ArgGroup, Args};
use reposure_admin::{Object, Plan, grant, manifests};
use reposure_parcel::wire::Right;

use super::subject::{LevelArgs, SUBJECTS, SubjectArgs, failed};
use crate::{commands::report, connect, context::Context, format::Format, output};

/// Let users, groups or ServiceAccounts pull from a registry, push to it or delete in it
///
/// It takes the role admin in the registry's namespace: edit cannot make Roles.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("named").required(true).multiple(true).args(SUBJECTS)))]
#[command(group(ArgGroup::new("granted").required(true).args(["pull", "push", "admin"])))]
pub(crate) struct GrantArgs {
    /// The name
    name: String,
    #[command(flatten)]
    level: LevelArgs,
    #[command(flatten)]
    subjects: SubjectArgs,
    /// Write nothing; with -o yaml or json, show the Role and its binding as they would be
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(context: &Context, args: &GrantArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let registry = connect::find(&cluster, &args.name).await?;
    let level = args.level.level().unwrap_or(Right::Pull);
    let subjects = args.subjects.subjects(&cluster.namespace);
    let what = format!("grant {level} on");
    let because = |error| failed(&what, &args.name, &cluster.namespace, error);
    if args.dry_run {
        let objects = grant::preview(&cluster.client, &registry, level, &subjects).await.map_err(because)?;
        return show(context, objects.into());
    }
    let applied = grant::grant(&cluster.client, &registry, level, &subjects).await.map_err(because)?;
    report::changes(context, &applied)
}

/// Shows what would be written.
fn show(context: &Context, objects: Vec<Object>) -> Result<()> {
    match context.format() {
        Format::Yaml => output::write(&manifests::render(&Plan::of(objects))?),
        Format::Json => output::structured(Format::Json, &objects),
        _ => {
            let names = objects.iter().map(|object| format!("would write {}", object.name()));
            output::print(&output::lines(names))
        }
    }
}
