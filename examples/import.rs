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
//! are never stored twice, and lines of a CSV file get ids by themselves. Those are made of the file's name, the line's
//! number and its content, so the same file again is safe; a renamed, re-sorted or re-exported one is stored again,
//! unless `--id-from` names the columns that tell events apart.
//!
//! It ends with 0 if all lines are good, with 3 if some are bad and the others are in the store, and with 1 if it failed.

use std::{
    collections::HashSet,
    error::Error,
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use journeylog::{
    Durability, Entry, Event, InvalidValue, Store, StoreOptions,
    import::{BadLine, CsvMapping, Delimiter, ImportError, NdjsonReader, Source, TimeFormat},
};

/// The options that say a part of the mapping.
const MAPPED: [&str; 11] = [
    "customer",
    "touchpoint",
    "time",
    "time_format",
    "channel",
    "amount",
    "currency",
    "properties",
    "id_from",
    "delimiter",
    "no_header",
];

/// Imports events from a file into a store: NDJSON (.ndjson, .jsonl, .json) or CSV (.csv, .tsv, .txt), each also as .gz.
///
/// A COLUMN is a name in the header, or a number from 1 with --no-header, or =TEXT for the same text in every line.
///
/// It ends with 0 if all lines are good, with 3 if some are bad and the others are in the store, and with 1 if it failed.
#[derive(Parser)]
struct Args {
    /// The folder of the store; it is made if it is not there.
    store: PathBuf,
    /// The file to read.
    file: PathBuf,
    /// A CSV mapping as JSON, in place of the options below.
    #[arg(long, value_name = "MAP.json", conflicts_with_all = MAPPED)]
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
    /// CSV: gives no ids, so that running again stores every event again; also with a --mapping that maps none.
    #[arg(long, conflicts_with = "id_from")]
    no_ids: bool,
    /// CSV: what parts the cells: , ; | tab blanks.
    #[arg(long)]
    delimiter: Option<Delimiter>,
    /// CSV: the first line is data.
    #[arg(long)]
    no_header: bool,
    /// Where bad lines are kept [default: FILE with .bad before its extension, beside the store]; if that is there
    /// already, with .2, .3 and so on.
    #[arg(long, value_name = "FILE")]
    bad: Option<PathBuf>,
    /// Events stored in one step, at most 2000: so many fit, however large they are.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    batch: u16,
}

/// How it ends if some lines are bad and the others are in the store; 2 is what a wrong option gets.
const SOME_ARE_BAD: u8 = 3;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(SOME_ARE_BAD),
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

/// Imports, and says how many lines are bad.
fn run(args: &Args) -> Result<u64, Box<dyn Error>> {
    let (name, kind) = name_and_kind(&args.file)?;
    let progress = Progress::new(fs::metadata(&args.file).map_err(|e| about(&args.file, e))?.len());
    let input = open(&args.file, &progress.bar)?;
    let Ready { lines, header, ids_by_line } = read(args, &name, &kind, input)?;
    let bad_file = args.bad.clone().unwrap_or_else(|| {
        let stem = Path::new(&name).file_stem().unwrap_or_default().to_string_lossy();
        args.store.with_file_name(format!("{stem}.bad.{kind}"))
    });
    let mut bad = Bad { path: bad_file, header, file: None, count: 0 };
    let mut done = Done { seen: ids_by_line.then(HashSet::new), ..Done::default() };

    let start = Instant::now();
    let mut store = Lazy { folder: &args.store, store: None };
    if !store.is_new() {
        store.open()?; // now, since it may be locked
    }
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
            done.store(store.open()?, &mut batch)?;
            progress.say(|| format!("{} events read", done.read));
        }
    }
    if !batch.is_empty() || (bad.count == 0 && failed.is_none()) {
        done.store(store.open()?, &mut batch)?;
    }
    bad.finish()?;
    let has_store = store.close()?;
    progress.bar.finish_and_clear();
    if let Some(error) = failed {
        eprintln!("{} events before this were stored; mend the file and run again", done.stored);
        return Err(error.into());
    }
    done.say(&bad, start.elapsed());
    if has_store {
        say_what_is_in(&args.store)?;
    }
    if done.read == 0 && bad.count > 0 {
        let store = if has_store { "nothing was stored" } else { "nothing was stored, and no store was made" };
        return Err(format!("not one line of {} is good: {store}", args.file.display()).into());
    }
    if done.read > 0 && done.stored == 0 {
        println!(
            "nothing stored: these lines are in the store already. An event is never changed; to import with another \
             mapping, use a new store"
        );
    }
    Ok(bad.count)
}

/// What a store holds now, of this import and all before it.
fn say_what_is_in(folder: &Path) -> Result<(), journeylog::Error> {
    // Opened again, since closing moves the last events to the index.
    let store = StoreOptions::new().must_exist().open(folder)?;
    let stats = store.stats()?;
    store.close()?;
    println!("\nin the store");
    println!("events      {:>10}", stats.events);
    println!("customers   {:>10}", stats.customers);
    println!("touchpoints {:>10}  (different ones)", stats.touchpoints);
    println!("log         {:>10}", HumanBytes(stats.log_bytes).to_string());
    println!("index       {:>10}", HumanBytes(stats.index_bytes).to_string());
    Ok(())
}

/// A store that is not made before there is something to store.
struct Lazy<'a> {
    folder: &'a Path,
    store: Option<Store>,
}

impl Lazy<'_> {
    /// True if opening would make it.
    fn is_new(&self) -> bool {
        fs::read_dir(self.folder).map_or(!self.folder.exists(), |mut entries| entries.next().is_none())
    }

    fn open(&mut self) -> Result<&Store, journeylog::Error> {
        let store = match self.store.take() {
            Some(store) => store,
            // What a power cut takes is stored when the import is run again, so the disk need not be waited for at
            // each batch.
            None => StoreOptions::new().durability(Durability::Flushed).open(self.folder)?,
        };
        Ok(self.store.insert(store))
    }

    /// False if it was never opened.
    fn close(self) -> Result<bool, journeylog::Error> {
        let Some(store) = self.store else { return Ok(false) };
        store.close().map(|()| true)
    }
}

/// A file that is ready to be read.
struct Ready {
    lines: Box<dyn Iterator<Item = Result<Entry, ImportError>>>,
    /// Of a CSV file.
    header: Vec<u8>,
    ids_by_line: bool,
}

/// The lines of the file as events.
fn read(args: &Args, name: &str, kind: &str, input: impl Read + 'static) -> Result<Ready, Box<dyn Error>> {
    if matches!(kind, "ndjson" | "jsonl" | "json") {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        let start = input.fill_buf().map_err(|source| ImportError::Io { line: 0, source })?;
        let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start);
        if start.trim_ascii_start().starts_with(b"[") {
            return Err(about(&args.file, "this is a JSON array; NDJSON has one object per line").into());
        }
        return Ok(Ready { lines: Box::new(NdjsonReader::new(input)), header: Vec::new(), ids_by_line: false });
    }
    let mut mapping = match &args.mapping {
        Some(path) => {
            serde_json::from_str(&fs::read_to_string(path).map_err(|e| about(path, e))?).map_err(|e| about(path, e))?
        }
        None => mapping(args, kind),
    };
    if mapping.has_id() && args.no_ids {
        return Err("the mapping maps an id: --no-ids does not go with it".into());
    }
    if !mapping.has_id() && !args.no_ids {
        eprintln!(
            "no id is mapped: each line's id is made of the file's name, the line's number and its content, so running \
             the same file again is safe; a renamed, re-sorted or re-exported file is stored again (use --id-from)"
        );
        mapping = mapping.id_by_line();
    }
    let ids_by_line = serde_json::to_value(&mapping)?.get("id").is_some_and(|id| id == "line");
    let lines = mapping.file_name(name).read(input).map_err(|error| match error {
        ImportError::Mapping(refused) if args.mapping.is_none() => {
            let reason = refused.reason().to_owned() + &hint(args, &refused);
            ImportError::Mapping(InvalidValue::new(refused.field(), reason))
        }
        error => error,
    })?;
    let header = lines.header().unwrap_or_default().to_vec();
    Ok(Ready { lines: Box::new(lines.map(|line| line.map(Entry::from))), header, ids_by_line })
}

/// What was probably meant by options that do not fit the file.
fn hint(args: &Args, refused: &InvalidValue) -> String {
    let reason = refused.reason();
    let columns = reason.split_once("; the columns are ").map_or("", |(_, columns)| columns);
    if !columns.contains(", ")
        && let Some(delimiter) = columns.chars().find(|c| matches!(c, ';' | '\t' | '|' | ','))
    {
        let delimiter = if delimiter == '\t' { "tab".to_owned() } else { format!("'{delimiter}'") };
        return format!("; is it --delimiter {delimiter} ?");
    }
    let text = match refused.field() {
        "touchpoint" if args.no_header => &args.touchpoint,
        "channel" => args.channel.as_deref().unwrap_or_default(),
        "value.currency" => args.currency.as_deref().unwrap_or_default(),
        _ => return String::new(),
    };
    if reason.starts_with("there is no") && text.parse::<u32>().is_err() {
        return format!("; for a fixed text write ={text}");
    }
    String::new()
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
    /// The fingerprints of lines, if ids are by line.
    seen: Option<HashSet<u64>>,
    equal: u64,
}

impl Done {
    /// So many fingerprints take 150 MB. After them, a line is counted only if it is equal to one of those.
    const SEEN: usize = 14_000_000;

    /// Stores a batch, all of it or nothing, and empties it.
    fn store(&mut self, store: &Store, batch: &mut Vec<Entry>) -> Result<(), journeylog::Error> {
        self.read += batch.len() as u64;
        self.without_id += batch.iter().filter_map(Entry::as_event).filter(|event| event.id().is_none()).count() as u64;
        batch.iter().filter_map(Entry::as_event).for_each(|event| self.look(event));
        let receipt = store.append_batch(batch.drain(..))?;
        self.stored += receipt.stored();
        self.duplicates += receipt.duplicates().len() as u64;
        Ok(())
    }

    /// Counts a line that is equal to an earlier one: an id by line ends with a fingerprint of all cells.
    fn look(&mut self, event: &Event) {
        let (Some(seen), Some(id)) = (&mut self.seen, event.id()) else { return };
        let fingerprint = id.as_str().rsplit_once(':').and_then(|(_, hex)| u64::from_str_radix(hex, 16).ok());
        let Some(fingerprint) = fingerprint else { return };
        let is_new = if seen.len() < Self::SEEN { seen.insert(fingerprint) } else { !seen.contains(&fingerprint) };
        self.equal += u64::from(!is_new);
    }

    fn say(&self, bad: &Bad, time: Duration) {
        println!("read        {:>10} events", self.read);
        println!("stored      {:>10}", self.stored);
        println!("duplicates  {:>10}  (their ids were in the store, or earlier in the file)", self.duplicates);
        if self.equal > 0 && self.stored > 0 {
            println!("equal lines {:>10}  (stored; --id-from drops them)", self.equal);
        }
        println!("bad lines   {:>10}{}", bad.count, bad.whereabouts(self.read));
        let seconds = time.as_secs_f64();
        // Of less than a second a rate says nothing.
        let rate = if seconds < 1.0 { String::new() } else { format!(", {:.0} events/s", self.read as f64 / seconds) };
        println!("time        {seconds:>10.1} s{rate}");
        if self.without_id > 0 {
            println!("{} events have no id: running this again would store them again", self.without_id);
        }
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
            let mut file = BufWriter::new(self.create()?);
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

    /// A new file: somebody may have mended the lines of an earlier one.
    fn create(&mut self) -> Result<File, Box<dyn Error>> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(|e| about(folder, e))?;
        }
        let wished = self.path.clone();
        if fs::metadata(&wished).is_ok_and(|there| !there.is_file()) {
            return Ok(File::options().write(true).open(&wished).map_err(|e| about(&wished, e))?); // such as /dev/null
        }
        let [stem, extension] = [wished.file_stem(), wished.extension()]
            .map(|part| part.unwrap_or_default().to_string_lossy().into_owned());
        let mut number = 1;
        loop {
            match File::create_new(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return Ok(created.map_err(|e| about(&self.path, e))?),
            }
            number += 1;
            let name =
                if extension.is_empty() { format!("{stem}.{number}") } else { format!("{stem}.{number}.{extension}") };
            self.path = wished.with_file_name(name);
        }
    }

    fn finish(&mut self) -> Result<(), io::Error> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }

    fn whereabouts(&self, good: u64) -> String {
        if self.count == 0 {
            return String::new();
        }
        let others = if good > 0 { "; all others are in the store" } else { "" };
        format!("  (kept in {}{others})", self.path.display())
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
