//! The Rust half of the comparison: it makes the world, and serves journeylog and `SQLite` to the driver.
//!
//! ```text
//! peers world EVENTS FILE     writes a world
//! peers journeylog            reads commands from standard input, one JSON object a line; see `engine.rs`
//! peers sqlite                the same
//! peers sqlite-version        prints the version of `SQLite`
//! ```

mod engine;
mod journeylog_engine;
mod sqlite_engine;
mod world;

use std::{error::Error, path::Path};

use journeylog_engine::Journeylog;
use sqlite_engine::Sqlite;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["world", events, file] => Ok(world::write(events.parse()?, Path::new(file))?),
        ["journeylog"] => engine::serve(&mut Journeylog::default()),
        ["sqlite"] => engine::serve(&mut Sqlite::default()),
        ["sqlite-version"] => {
            println!("{}", rusqlite::version());
            Ok(())
        }
        _ => Err("usage: peers world EVENTS FILE | journeylog | sqlite | sqlite-version".into()),
    }
}
