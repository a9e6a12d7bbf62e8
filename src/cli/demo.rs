//! `demo`: the main job in one command, without configuration.

use clap::Args;

use super::{Outcome, block_on};
use crate::demo;

/// How the demo ends.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// End after the story instead of serving on.
    #[arg(long)]
    exit: bool,
}

pub(super) fn run(args: &DemoArgs) -> Outcome {
    Ok(block_on(demo::run(args.exit))??)
}
