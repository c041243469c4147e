//! `reposure registry access NAME`

mod asked;

use anyhow::Result;
use clap::Args;

use super::subject::{SubjectArgs, failed};
use crate::{
    connect,
    context::Context,
    exit,
    output::{self, Rows},
};

pub(super) use asked::{AccessError, Line, Seen, of_all};

/// Show who was granted what on a registry, and what you may do yourself, as the API server says
///
/// Whoever may not read the bindings of the namespace sees only himself. With --user, --group or --serviceaccount the API server is asked what
/// these may do, by whatever role that is.
#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// The name
    name: String,
    #[command(flatten)]
    subjects: SubjectArgs,
}

pub(super) async fn run(context: &Context, args: &AccessArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let registry = connect::find(&cluster, &args.name).await?;
    let because = |error| failed("see access to", &args.name, &cluster.namespace, error);
    let subjects = args.subjects.subjects(&cluster.namespace);
    let lines = if subjects.is_empty() {
        let Seen { lines, hidden } = of_all(&cluster, &registry).await.map_err(because)?;
        if let Some(error) = hidden {
            exit::warn(&format!("only what you may do is shown: {error}"));
        }
        lines
    } else {
        asked::of_these(&cluster, &registry, &subjects).await.map_err(because)?
    };
    let names: Vec<String> = lines.iter().map(|line| line.subject.clone()).collect();
    output::list(context.format(), &lines, &names, &rows(&lines))
}

/// Returns the lines as people read them.
pub(super) fn rows(lines: &[Line]) -> Rows {
    let mut rows = Rows::new(&["SUBJECT", "LEVEL", "ALLOWED", "VIA", "CHANNELS"], 4);
    for line in lines {
        let allowed = line.allowed.map_or("unknown", |allowed| if allowed { "yes" } else { "no" });
        let via = line.via.clone().unwrap_or_default();
        let channels = line.channels.join(", ");
        rows.push(vec![line.subject.clone(), line.level.into(), allowed.into(), via, channels]);
    }
    rows
}
