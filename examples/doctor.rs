//! Looks a store over, and salvages what can still be read of a damaged one.
//!
//! ```text
//! cargo run --release --example doctor -- shop.journey                  # all of it
//! cargo run --release --example doctor -- shop.journey --quick          # the small files only
//! cargo run --release --example doctor -- shop.journey --salvage new.journey
//! ```
//!
//! If a store is known to be damaged, salvage it, or copy its folder, before anything opens it: what stands behind a damaged
//! place may be overwritten by opening, though what can be is kept for salvage.
//!
//! It ends with success if the store is sound, or if all of it was salvaged.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use journeylog::{Error, Store, StoreOptions, Verify};

/// Looks a store over, and salvages what can still be read of a damaged one.
#[derive(Parser)]
struct Args {
    /// The folder of the store.
    store: PathBuf,
    /// Looks at the small files and the ends of the large ones only.
    #[arg(long, conflicts_with = "salvage")]
    quick: bool,
    /// Writes all that can still be read into a new store in this folder. The damaged one is not changed.
    #[arg(long, value_name = "NEW")]
    salvage: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.salvage {
        Some(new) => salvage(&args, new),
        None => verify(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:?}");
            if error.is_corrupt() {
                eprintln!("restore a backup, or run this again with --salvage NEW");
            }
            ExitCode::FAILURE
        }
    }
}

fn verify(args: &Args) -> Result<bool, Error> {
    let store = StoreOptions::new().must_exist().open(&args.store)?;
    let report = store.open_report();
    report.mended.iter().chain(&report.rebuilt).for_each(|note| println!("at open: {note}"));
    let how = if args.quick { Verify::Quick } else { Verify::Full };
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent} % {eta} left") {
        bar.set_style(style);
    }
    let found = store.verify_with_progress(how, |progress| {
        bar.set_length(progress.of);
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();
    println!("{found}");
    store.close()?;
    Ok(found.is_sound())
}

fn salvage(args: &Args, new: &PathBuf) -> Result<bool, Error> {
    let salvage = Store::salvage(&args.store, new)?;
    println!("{salvage}");
    Ok(salvage.missing.is_empty() && salvage.from_index.is_empty())
}
