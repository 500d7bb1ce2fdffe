//! Asks a store a question that stands in a JSON file, or several: a list of plans is one scan.
//!
//! ```text
//! echo '{"funnel":{"steps":[{"touchpoint":"catalog"},{"touchpoint":"cart"}],"window":"7d"}}' > plan.json
//! cargo run --release --example query -- shop.journey plan.json
//! cargo run --release --example query -- shop.journey plan.json --json --customers
//! echo '{"experience":{"by":"stage"}}' | cargo run --release --example query -- shop.journey - --comments
//! ```

use std::{
    error::Error,
    fs,
    io::{self, Read, Write},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use journeylog::{Question, Report, StoreOptions};

/// Asks a store a question that stands in a JSON file.
#[derive(Parser)]
struct Args {
    /// The folder of the store.
    store: PathBuf,
    /// The question, or a list of them; - reads it from the standard input.
    plan: PathBuf,
    /// Prints each answer as one line of JSON, with the plan it answers.
    #[arg(long)]
    json: bool,
    /// Lists the customers behind the numbers.
    #[arg(long)]
    customers: bool,
    /// Prints what the customers behind scores of surveys wrote.
    #[arg(long)]
    comments: bool,
    /// Threads to use [default: one per core]. The answer is the same for any number.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let at_plan = |error: &dyn Error| format!("{}: {error}", args.plan.display());
    let mut text = String::new();
    if args.plan.as_os_str() == "-" {
        io::stdin().read_to_string(&mut text).map_err(|e| at_plan(&e))?;
    } else {
        text = fs::read_to_string(&args.plan).map_err(|e| at_plan(&e))?;
    }
    let mut questions = Question::read(&text).map_err(|e| at_plan(&e))?;
    if args.customers || args.comments {
        for question in &mut questions {
            question.plan = question.plan.clone().list_customers();
        }
    }

    let store = StoreOptions::new().must_exist().open(&args.store)?;
    let snapshot = store.snapshot();
    let mut query = snapshot.query();
    if let Some(threads) = args.threads {
        query = query.threads(threads);
    }
    let answers = query.ask(&questions)?;

    let mut out = io::BufWriter::new(io::stdout().lock());
    for (i, answer) in answers.iter().enumerate() {
        if args.json {
            writeln!(out, "{}", serde_json::to_string(answer)?)?;
        } else {
            write!(out, "{}{answer}", if i > 0 { "\n" } else { "" })?;
            if let Some(end) = answer.observed_until {
                writeln!(out, "observed until {}", end.to_rfc3339())?;
            }
        }
        if let Report::Experience(report) = &answer.report
            && args.comments
        {
            for logged in snapshot.events_at(report.listed.iter().flatten().map(|answer| answer.seq))? {
                let Some(feedback) = logged.event.feedback() else { continue };
                if let Some(comment) = feedback.comment() {
                    let (who, survey) = (logged.event.customer().as_str(), feedback.survey().as_str());
                    writeln!(out, "{who}, {survey} {}: {comment}", feedback.score())?;
                }
            }
        }
    }
    out.flush()?;
    store.close()?;
    Ok(())
}
