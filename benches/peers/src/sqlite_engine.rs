//! `SQLite`, with ids and names as text, as journeylog has them, prepared statements and a large page cache.

use std::{
    path::Path,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, params};
use serde_json::{Map, Value, json};

use crate::{
    Result,
    engine::{Command, Engine, timed},
    world::{self, Row},
};

const INSERT: &str = "INSERT INTO events VALUES (?, ?, ?, ?, ?)";
const ONE_CUSTOMER: &str = "SELECT time, touchpoint, channel, plan FROM events WHERE customer = ? ORDER BY time";
/// Stages of the standard model, as the SQL numbers them.
const STAGES: [&str; 6] = ["start", "awareness", "consideration", "purchase", "retention", "advocacy"];

#[derive(Debug, Default)]
pub(crate) struct Sqlite(Option<Connection>);

impl Engine for Sqlite {
    fn run(&mut self, command: Command) -> Result<Value> {
        match command {
            Command::Load { world, folder, batch, .. } => {
                let (connection, figures) = load(&world, &folder, batch)?;
                self.0 = Some(connection);
                Ok(figures)
            }
            Command::Open { folder } => {
                let (seconds, connection) = timed(|| open(&folder))?;
                self.0 = Some(connection);
                Ok(json!({ "seconds": seconds }))
            }
            Command::Close => {
                let (seconds, ()) =
                    timed(|| Ok(self.0.take().map_or(Ok(()), |connection| connection.close().map_err(|(_, e)| e))?))?;
                Ok(json!({ "seconds": seconds }))
            }
            Command::Ask { question, .. } => {
                let (seconds, answer) = timed(|| ask(self.connection()?, &question))?;
                Ok(json!({ "seconds": seconds, "answer": answer }))
            }
            Command::LookUp { customers } => look_up(self.connection()?, &customers),
            Command::Appends { world, folder, threads, each } => appends(&world, &folder, threads, each),
            Command::Stats => Ok(json!({})),
        }
    }
}

impl Sqlite {
    fn connection(&self) -> Result<&Connection> {
        Ok(self.0.as_ref().ok_or("no database is open")?)
    }
}

/// A row, and its customer's id, which is made before anything is timed.
fn with_id(row: Row) -> (String, Row) {
    (world::id(row.customer), row)
}

/// Opens the database in a folder, or makes it there.
fn open(folder: &Path) -> Result<Connection> {
    std::fs::create_dir_all(folder)?;
    let connection = Connection::open(folder.join("sqlite.db"))?;
    connection.busy_timeout(Duration::from_mins(1))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -262144;
         CREATE TABLE IF NOT EXISTS events (
             customer TEXT NOT NULL, time INTEGER NOT NULL, touchpoint TEXT NOT NULL, channel TEXT NOT NULL,
             plan TEXT NOT NULL
         );
         CREATE INDEX IF NOT EXISTS journeys ON events (customer, time);",
    )?;
    Ok(connection)
}

fn load(world: &Path, folder: &Path, batch: usize) -> Result<(Connection, Value)> {
    let start = Instant::now();
    let mut connection = open(folder)?;
    // Random customers touch so many pages of the index that rare checkpoints are much faster here. Single appends are
    // faster with the default, which writes the same small file again and again.
    connection.pragma_update(None, "wal_autocheckpoint", 65_536)?;
    let mut rows = world::read(world)?;
    let (mut making, mut appending, mut events) = (0.0, 0.0, 0);
    loop {
        let (seconds, batch) = timed(|| Ok(rows.by_ref().take(batch).map(with_id).collect::<Vec<_>>()))?;
        making += seconds;
        events += batch.len();
        if batch.is_empty() {
            break;
        }
        let (seconds, ()) = timed(|| {
            let transaction = connection.transaction()?;
            let mut insert = transaction.prepare_cached(INSERT)?;
            for (id, row) in batch {
                insert.execute(params![id, row.time, row.touchpoint(), row.channel(), row.plan()])?;
            }
            drop(insert);
            Ok(transaction.commit()?)
        })?;
        appending += seconds;
    }
    let whole = start.elapsed().as_secs_f64();
    // What is still in the write-ahead log goes into the database.
    let (settling, ()) = timed(|| Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?))?;
    let figures = json!({
        "events": events, "load_s": appending, "make_s": making, "whole_s": whole, "settle_s": settling,
    });
    Ok((connection, figures))
}

/// Single rows, each a transaction of its own. Writers of `SQLite` take turns; each thread has a connection.
fn appends(world: &Path, folder: &Path, threads: usize, each: usize) -> Result<Value> {
    open(folder)?;
    let mut rows = world::read(world)?;
    let work: Vec<Vec<(String, Row)>> = (0..threads).map(|_| rows.by_ref().take(each).map(with_id).collect()).collect();
    let barrier = Barrier::new(threads + 1);
    let append = |rows: Vec<(String, Row)>| -> Result<()> {
        let connection = open(folder);
        barrier.wait();
        let connection = connection?;
        let mut insert = connection.prepare(INSERT)?;
        for (id, row) in rows {
            insert.execute(params![id, row.time, row.touchpoint(), row.channel(), row.plan()])?;
        }
        Ok(())
    };
    let seconds = thread::scope(|scope| {
        let running: Vec<_> = work.into_iter().map(|rows| scope.spawn(|| append(rows))).collect();
        barrier.wait();
        let start = Instant::now();
        for thread in running {
            thread.join().map_err(|_| "an appending thread panicked")??;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(start.elapsed().as_secs_f64())
    })?;
    Ok(json!({ "seconds": seconds, "appends": threads * each }))
}

fn funnel(only: &str) -> String {
    let rows = "touchpoint IN ('product_view', 'add_to_cart', 'checkout', 'purchase')";
    let parts = [("{rows}", rows), ("{and}", only), ("{keys}", "customer"), ("{by}", ""), ("{group}", "")];
    let text = include_str!("../sql/funnel_windows.sql").to_owned();
    parts.iter().fold(text, |text, (part, becomes)| text.replace(part, becomes))
}

fn ask(connection: &Connection, question: &str) -> Result<Value> {
    match question {
        "funnel_windows" => levels(connection, &funnel("")),
        "filtered" => levels(connection, &funnel("AND plan = 'pro'")),
        "transitions" => cells(connection),
        "stages" => stages(connection),
        other => Err(format!("no such question: {other}").into()),
    }
}

fn levels(connection: &Connection, sql: &str) -> Result<Value> {
    let row = |row: &rusqlite::Row<'_>| (0..4).map(|step| row.get(step)).collect::<rusqlite::Result<Vec<i64>>>();
    Ok(connection.query_row(sql, [], row)?.into())
}

fn cells(connection: &Connection) -> Result<Value> {
    let mut select = connection.prepare(include_str!("../sql/transitions.sql"))?;
    let cells = select.query_map([], |row| {
        let name = format!("{} > {}", stage_name(row.get(0)?), stage_name(row.get(1)?));
        Ok((name, row.get::<_, i64>(2)?.into()))
    })?;
    Ok(cells.collect::<rusqlite::Result<Map<String, Value>>>()?.into())
}

fn stages(connection: &Connection) -> Result<Value> {
    let mut select = connection.prepare(include_str!("../sql/sqlite/stages.sql"))?;
    let stages = select.query_map([], |row| Ok((stage_name(row.get(0)?).to_owned(), row.get::<_, i64>(1)?.into())))?;
    Ok(stages.collect::<rusqlite::Result<Map<String, Value>>>()?.into())
}

fn stage_name(stage: u8) -> &'static str {
    STAGES[usize::from(stage)]
}

/// The stage that a touchpoint bears in the standard model, if it is not a later purchase; 0 for none.
fn stage_of(touchpoint: &str) -> u8 {
    match touchpoint {
        "ad_click" | "email_open" | "home" | "search" => 1,
        "product_view" | "add_to_cart" | "checkout" | "store_visit" => 2,
        "purchase" => 3,
        "renewal" => 4,
        "review" => 5,
        _ => 0,
    }
}

fn look_up(connection: &Connection, customers: &[u32]) -> Result<Value> {
    let (mut seconds, mut answer) = (Vec::new(), Vec::new());
    let mut select = connection.prepare(ONE_CUSTOMER)?;
    for &customer in customers {
        let id = world::id(customer);
        let (took, (events, times, stage)) = timed(|| {
            let (mut events, mut times, mut stage, mut purchases) = (0, 0, 0, 0);
            let mut rows = select.query([&id])?;
            while let Some(row) = rows.next()? {
                let bears = stage_of(row.get_ref(1)?.as_str()?);
                purchases += u32::from(bears == 3);
                stage = if bears == 3 && purchases > 1 {
                    4
                } else if bears > 0 {
                    bears
                } else {
                    stage
                };
                events += 1;
                times += row.get::<_, i64>(0)?;
            }
            Ok((events, times, stage))
        })?;
        seconds.push(took);
        answer.push((events > 0).then(|| json!([events, times, (stage > 0).then(|| stage_name(stage))])));
    }
    Ok(json!({ "seconds": seconds, "answer": answer }))
}
