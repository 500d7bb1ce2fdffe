//! What every engine does for the driver: commands come as JSON objects, one a line, and each is answered by one line.
//! `py/engine.py` is the same for the engines of Python.

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
    time::Instant,
};

use serde::Deserialize;
use serde_json::Value;

use crate::Result;

/// A command of the driver.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Command {
    /// Loads a world into a fresh folder, in batches, each synced, or all at the end (journeylog only); the engine is open
    /// afterwards.
    Load {
        world: PathBuf,
        folder: PathBuf,
        batch: usize,
        #[serde(default = "yes")]
        properties: bool,
        #[serde(default = "yes")]
        sync_each: bool,
    },
    /// Opens what was loaded.
    Open { folder: PathBuf },
    /// Closes it.
    Close,
    /// Asks a question once.
    Ask { question: String, threads: usize },
    /// Looks customers up one by one: journey and current stage of each.
    LookUp { customers: Vec<u32> },
    /// Appends single events of a world to a fresh folder, each synced: so many by each thread.
    Appends { world: PathBuf, folder: PathBuf, threads: usize, each: usize },
    /// What the engine itself says of its size.
    Stats,
}

fn yes() -> bool {
    true
}

/// An engine that serves the driver.
pub(crate) trait Engine {
    fn run(&mut self, command: Command) -> Result<Value>;
}

/// Runs commands until there are no more.
pub(crate) fn serve(engine: &mut impl Engine) -> Result<()> {
    for line in io::stdin().lock().lines() {
        let answer = engine.run(serde_json::from_str(&line?)?)?;
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// How long something took, in seconds, and what it gave.
pub(crate) fn timed<T>(what: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let start = Instant::now();
    let made = what()?;
    Ok((start.elapsed().as_secs_f64(), made))
}
