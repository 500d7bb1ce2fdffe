//! Imports events from a file into a store.
//!
//! ```text
//! cargo run --release --example import -- shop.journey events.ndjson
//! cargo run --release --example import -- shop.journey events.csv.gz --customer user_id --touchpoint event --time timestamp
//! cargo run --release --example import -- shop.journey cdnow.txt --delimiter blanks --no-header \
//!     --customer 1 --touchpoint =purchase --time 3 --time-format %Y%m%d --amount 5 --currency =USD
//! ```
//!
//! Good lines are stored, bad ones listed and kept in a file. An import that was stopped is run again: events with ids
//! are never stored twice, and lines of a CSV file get ids by themselves.

use std::{
    error::Error,
    fs::{self, File},
    io::{BufWriter, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use journeylog::{
    Durability, Event, Store, StoreOptions,
    import::{BadLine, CsvMapping, Delimiter, ImportError, NdjsonReader, Source, TimeFormat},
};

/// Imports events from a file into a store: NDJSON (.ndjson, .jsonl, .json) or CSV (.csv, .tsv, .txt), each also as .gz.
///
/// A COLUMN is a name in the header, or a number from 1 with --no-header, or =TEXT for the same text in every line.
#[derive(Parser)]
struct Args {
    /// The folder of the store; it is made if it is not there.
    store: PathBuf,
    /// The file to read.
    file: PathBuf,
    /// A CSV mapping as JSON, in place of the options below.
    #[arg(long, value_name = "MAP.json", conflicts_with_all = ["customer", "touchpoint", "time"])]
    mapping: Option<PathBuf>,
    /// CSV: who.
    #[arg(long, value_name = "COLUMN", default_value = "customer")]
    customer: String,
    /// CSV: where.
    #[arg(long, value_name = "COLUMN", default_value = "touchpoint")]
    touchpoint: String,
    /// CSV: when.
    #[arg(long, value_name = "COLUMN", default_value = "occurred_at")]
    time: String,
    /// CSV: `rfc3339`, `unix_s`, `unix_ms`, `unix_us`, or a pattern such as `%d.%m.%Y`.
    #[arg(long, value_name = "FORMAT", default_value = "rfc3339")]
    time_format: TimeFormat,
    /// CSV: through what; web if left out.
    #[arg(long, value_name = "COLUMN")]
    channel: Option<String>,
    /// CSV: money.
    #[arg(long, value_name = "COLUMN", requires = "currency")]
    amount: Option<String>,
    /// CSV: the money's currency.
    #[arg(long, value_name = "COLUMN", requires = "amount")]
    currency: Option<String>,
    /// CSV: columns to keep as properties, or "others" for all that nothing else names.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    properties: Vec<String>,
    /// CSV: columns that make an event's id together; "line" for the file's name and line, which is the default.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    id_from: Vec<String>,
    /// CSV: gives no ids, so that running again stores every event again.
    #[arg(long, conflicts_with = "id_from")]
    no_ids: bool,
    /// CSV: what parts the cells: , ; | tab blanks.
    #[arg(long)]
    delimiter: Option<Delimiter>,
    /// CSV: the first line is data.
    #[arg(long)]
    no_header: bool,
    /// Where bad lines are kept [default: FILE with .bad before its extension, beside the store].
    #[arg(long, value_name = "FILE")]
    bad: Option<PathBuf>,
    /// Events stored in one step, at most 2000: so many fit, however large they are.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    batch: u16,
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
    let (name, kind) = name_and_kind(&args.file)?;
    let progress = Progress::new(fs::metadata(&args.file).map_err(|e| about(&args.file, e))?.len());
    let input = open(&args.file, &progress.bar)?;
    let (lines, header) = read(args, &name, &kind, input)?;
    let bad_file = args.bad.clone().unwrap_or_else(|| {
        let stem = Path::new(&name).file_stem().unwrap_or_default().to_string_lossy();
        args.store.with_file_name(format!("{stem}.bad.{kind}"))
    });
    let mut bad = Bad { path: bad_file, header, file: None, count: 0 };
    let mut done = Done::default();

    let start = Instant::now();
    // What a power cut takes is stored when the import is run again, so the disk need not be waited for at each batch.
    let store = StoreOptions::new().durability(Durability::Flushed).open(&args.store)?;
    let batch_size = usize::from(args.batch);
    let mut batch = Vec::with_capacity(batch_size);
    let mut failed = None;
    for line in lines {
        match line {
            Ok(event) => batch.push(event),
            Err(ImportError::Bad(line)) => bad.keep(&line, &progress)?,
            Err(error) => failed = Some(error), // and the reading ends
        }
        if batch.len() == batch_size {
            done.store(&store, &mut batch)?;
            progress.say(|| format!("{} events read", done.read));
        }
    }
    done.store(&store, &mut batch)?;
    bad.finish()?;
    store.close()?;
    progress.bar.finish_and_clear();
    if let Some(error) = failed {
        eprintln!("{} events before this were stored; mend the file and run again", done.stored);
        return Err(error.into());
    }

    let seconds = start.elapsed().as_secs_f64();
    println!("read        {:>10} events", done.read);
    println!("stored      {:>10}", done.stored);
    println!("duplicates  {:>10}  (their ids were in the store, or earlier in the file)", done.duplicates);
    println!("bad lines   {:>10}{}", bad.count, bad.whereabouts());
    println!("time        {seconds:>10.1} s, {:.0} events/s", done.read as f64 / seconds.max(1e-9));
    if done.without_id > 0 {
        println!("{} events have no id: running this again would store them again", done.without_id);
    }
    Ok(())
}

type Lines = Box<dyn Iterator<Item = Result<Event, ImportError>>>;

/// The lines of the file as events, and the header of a CSV file.
fn read(args: &Args, name: &str, kind: &str, input: impl Read + 'static) -> Result<(Lines, Vec<u8>), Box<dyn Error>> {
    if matches!(kind, "ndjson" | "jsonl" | "json") {
        return Ok((Box::new(NdjsonReader::new(input)), Vec::new()));
    }
    let mut mapping = match &args.mapping {
        Some(path) => {
            serde_json::from_str(&fs::read_to_string(path).map_err(|e| about(path, e))?).map_err(|e| about(path, e))?
        }
        None => mapping(args, kind),
    };
    if !mapping.has_id() && !args.no_ids {
        eprintln!("no id is mapped, so each line's number and content make one: running this again is safe");
        mapping = mapping.id_by_line();
    }
    let lines = mapping.file_name(name).read(input)?;
    let header = lines.header().unwrap_or_default().to_vec();
    Ok((Box::new(lines), header))
}

/// The mapping that the options say.
fn mapping(args: &Args, kind: &str) -> CsvMapping {
    let source = |text: &String| match (text.strip_prefix('='), text.parse::<u32>()) {
        (Some(constant), _) => Source::constant(constant),
        (None, Ok(number)) if args.no_header => Source::from(number),
        _ => Source::from(text.as_str()),
    };
    let mut mapping = CsvMapping::new(source(&args.customer), source(&args.touchpoint), source(&args.time))
        .time_format(args.time_format.clone())
        .delimiter(args.delimiter.unwrap_or(if kind == "tsv" { Delimiter::Tab } else { Delimiter::Comma }));
    if args.no_header {
        mapping = mapping.without_header();
    }
    if let Some(channel) = &args.channel {
        mapping = mapping.channel(source(channel));
    }
    if let (Some(amount), Some(currency)) = (&args.amount, &args.currency) {
        mapping = mapping.value(source(amount), source(currency));
    }
    mapping = match args.properties.as_slice() {
        [others] if others == "others" => mapping.other_properties(),
        names => names.iter().fold(mapping, |mapping, name| mapping.property(name, source(name))),
    };
    match args.id_from.as_slice() {
        [] => mapping,
        [line] if line == "line" => mapping.id_by_line(),
        columns => mapping.id(columns.iter().map(source)),
    }
}

/// `events.csv.gz` is `events.csv`, and `csv`.
fn name_and_kind(file: &Path) -> Result<(String, String), String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let kind = Path::new(name).extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if !["ndjson", "jsonl", "json", "csv", "tsv", "txt"].contains(&kind.as_str()) {
        return Err(format!("{}: is none of .ndjson, .jsonl, .json, .csv, .tsv, .txt", file.display()));
    }
    Ok((name.to_owned(), kind))
}

/// The file's bytes, counted by the bar as they stand on disk, and unpacked.
fn open(path: &Path, bar: &ProgressBar) -> Result<Box<dyn Read>, Box<dyn Error>> {
    let file = bar.wrap_read(File::open(path).map_err(|e| about(path, e))?);
    let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
    Ok(if is_gzip { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) })
}

fn about(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// What was done so far.
#[derive(Default)]
struct Done {
    read: u64,
    stored: u64,
    duplicates: u64,
    without_id: u64,
}

impl Done {
    /// Stores a batch, all of it or nothing, and empties it.
    fn store(&mut self, store: &Store, batch: &mut Vec<Event>) -> Result<(), journeylog::Error> {
        self.read += batch.len() as u64;
        self.without_id += batch.iter().filter(|event| event.id().is_none()).count() as u64;
        let receipt = store.append_batch(batch.drain(..))?;
        self.stored += receipt.stored();
        self.duplicates += receipt.duplicates().len() as u64;
        Ok(())
    }
}

/// Bad lines: the first ones are said, all are kept.
struct Bad {
    path: PathBuf,
    header: Vec<u8>,
    file: Option<BufWriter<File>>,
    count: u64,
}

impl Bad {
    const SAID: u64 = 10;

    fn keep(&mut self, line: &BadLine, progress: &Progress) -> Result<(), Box<dyn Error>> {
        self.count += 1;
        match self.count {
            ..=Self::SAID => progress.bar.suspend(|| eprintln!("{line}")),
            n if n == Self::SAID + 1 => progress.bar.suspend(|| eprintln!("... and more")),
            _ => {}
        }
        if self.file.is_none() {
            let mut file = BufWriter::new(File::create(&self.path).map_err(|e| about(&self.path, e))?);
            if !self.header.is_empty() {
                file.write_all(&self.header)?;
                file.write_all(b"\n")?;
            }
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_all(line.raw())?;
            file.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), std::io::Error> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }

    fn whereabouts(&self) -> String {
        if self.count == 0 {
            return String::new();
        }
        format!("  (kept in {}; all others are in the store)", self.path.display())
    }
}

/// A bar on a terminal; elsewhere a line every few seconds.
struct Progress {
    bar: ProgressBar,
    said: std::cell::Cell<Instant>,
}

impl Progress {
    fn new(bytes: u64) -> Self {
        let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
        let bar = ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, said: Instant::now().into() }
    }

    fn say(&self, text: impl Fn() -> String) {
        if !std::io::stderr().is_terminal() && self.said.get().elapsed() > Duration::from_secs(5) {
            eprintln!("{}", text());
            self.said.set(Instant::now());
        }
    }
}
