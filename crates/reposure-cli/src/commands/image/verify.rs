//! `reposure image verify REGISTRY IMAGE`

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_client::{
    pull::{PullError, PullOptions},
    verify::{Fault, Report, VerifyOptions, verify},
};
use reposure_oci::{Digest, ImageName};
use reposure_parcel::wire::Right;
use serde::Serialize;

use super::{
    check_name, jobs,
    pull::{is_missing, missing, shown},
};
use crate::{
    connect,
    context::Context,
    exit::{self, Failure, Kind},
    format::Format,
    output,
};

/// Read an image of a registry whole, and say whether it is what its digests say
///
/// Every manifest and blob is read, and its size and digest are compared. Nothing is stored. Everything that is wrong is named,
/// and the exit code is 6 then.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The registry's name
    registry: String,
    /// The image: NAME, NAME:TAG or NAME@DIGEST
    image: ImageName,
    /// Decompress the layers too, and compare them with the diff IDs in the configuration
    ///
    /// A line says how many could be compared: artifacts that are no images have no diff IDs, nor have layers that are not there.
    #[arg(long)]
    diff_ids: bool,
    /// How many ranges are fetched at once; 5 by default, and 16 over a long way
    #[arg(long, value_name = "N", value_parser = jobs())]
    jobs: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified<'a> {
    name: &'a ImageName,
    digest: &'a Digest,
    manifests: usize,
    blobs: usize,
    bytes: u64,
    diff_ids: usize,
    layers: usize,
    faults: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    digest: &'a Digest,
    kind: &'static str,
    message: String,
}

pub(super) async fn run(context: &Context, args: VerifyArgs) -> Result<()> {
    let session = connect::session(context, &args.registry, Right::Pull).await?;
    check_name(&session, &args.image.repository)?;
    let pull = PullOptions { jobs: args.jobs, ..PullOptions::default() };
    let options = VerifyOptions { pull, diff_ids: args.diff_ids };
    let report = shown(async |progress| verify(&session, &args.image, options, progress).await).await;
    let doing = || format!("cannot verify {} of registry {}", args.image, args.registry);
    let report = match report {
        Err(PullError::Image(error)) if is_missing(&error, &args.image) => {
            return Err(missing(&args.image, &args.registry)).with_context(doing);
        }
        report => report.with_context(doing)?,
    };
    show(context.format(), &args, &report)?;
    match report.faults.len() {
        0 => Ok(()),
        faults => {
            let of = format!("{} of registry {}", args.image, args.registry);
            let message = format!("{of} is damaged: {faults} of its parts are not as they should be");
            Err(Failure::new(Kind::Verification, message).into())
        }
    }
}

fn show(format: Format, args: &VerifyArgs, report: &Report) -> Result<()> {
    let Report { digest, manifests, blobs, bytes, diff_ids, layers, .. } = report;
    let name = &args.image;
    if args.diff_ids && diff_ids < layers {
        exit::warn(&format!("only {diff_ids} of {layers} layers could be compared with diff IDs"));
    }
    if matches!(format, Format::Json | Format::Yaml) {
        let faults = report.faults.iter().map(found).collect();
        let (manifests, blobs, bytes) = (*manifests, *blobs, *bytes);
        let (diff_ids, layers) = (*diff_ids, *layers);
        return output::structured(
            format,
            &Verified { name, digest, manifests, blobs, bytes, diff_ids, layers, faults },
        );
    }
    let faults = report.faults.iter().map(ToString::to_string);
    let compared =
        args.diff_ids.then(|| format!("{diff_ids} of {layers} layers compared with their diff IDs"));
    output::print(&output::lines(std::iter::once(digest.to_string()).chain(compared).chain(faults)))
}

fn found(fault: &Fault) -> Found<'_> {
    // Without the digest, which has a field of its own.
    let text = fault.to_string();
    let message = text.split_once(": ").map_or(text.as_str(), |(_, message)| message).into();
    Found { digest: &fault.digest, kind: fault.problem.kind(), message }
}
