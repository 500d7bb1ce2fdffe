//! Files to import.

use std::io::Read;

use super::{bytes::Choices, event};
use crate::{
    Entry, Survey,
    import::{CsvMapping, Delimiter, ImportError, NdjsonReader, Source, TimeFormat},
};

/// A file after the choices of how to read it: as NDJSON, as CSV by a mapping made of choices, or as CSV by a mapping in
/// JSON that ends at a zero byte. Each line gives an event or the reason why not, however few bytes come at once.
pub fn import(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    match how % 3 {
        0 => {
            let found = all(entries(data), data);
            assert_eq!(found, all(entries(Drops(data)), data));
        }
        1 => {
            let Some((choices, file)) = data.split_at_checked(8) else { return };
            csv(&mapping(&mut Choices(choices)), file);
        }
        _ => {
            let mut parts = data.splitn(2, |byte| *byte == 0);
            let (Some(json), Some(file)) = (parts.next(), parts.next()) else { return };
            let Ok(mapping) = serde_json::from_slice::<CsvMapping>(json) else { return };
            let written = serde_json::to_string(&mapping).unwrap();
            assert_eq!(serde_json::from_str::<CsvMapping>(&written).unwrap(), mapping);
            csv(&mapping.file_name("file.csv"), file);
        }
    }
}

fn entries(data: impl Read) -> impl Iterator<Item = Result<Entry, ImportError>> {
    NdjsonReader::new(data)
}

fn csv(mapping: &CsvMapping, file: &[u8]) {
    match (mapping.read(file), mapping.read(Drops(file))) {
        (Ok(whole), Ok(drops)) => assert_eq!(all(whole, file), all(drops, file)),
        (Err(whole), Err(drops)) => assert_eq!(whole.to_string(), drops.to_string()),
        _ => panic!("it depends on how many bytes come at once"),
    }
}

fn mapping(choices: &mut Choices<'_>) -> CsvMapping {
    let formats = ["rfc3339", "unix_s", "unix_ms", "unix_us", "%Y%m%d", "%d.%m.%Y %H:%M", "%s", "%c", "%+"];
    let column = |number: u32, name: &str, is_named| if is_named { Source::from(name) } else { number.into() };
    let header = choices.yes();
    let mut mapping = CsvMapping::new(column(1, "user", header), column(2, "event", header), column(3, "at", header))
        .time_format(choices.of(&formats).parse::<TimeFormat>().unwrap())
        .delimiter(choices.of(&[
            Delimiter::Comma,
            Delimiter::Semicolon,
            Delimiter::Tab,
            Delimiter::Bar,
            Delimiter::Blanks,
        ]));
    mapping = match choices.below(3) {
        0 => mapping,
        1 => mapping.file_name("file.csv").id_by_line(),
        _ => mapping.id([column(1, "user", header), column(3, "at", header)]),
    };
    if !header {
        mapping = mapping.without_header();
    }
    if choices.yes() {
        mapping = mapping.other_properties();
    }
    if choices.yes() {
        mapping = mapping.infer_types();
    }
    if choices.yes() {
        let survey = choices.of(&Survey::ALL);
        mapping = mapping.value(column(4, "amount", header), Source::constant("EUR"));
        mapping = mapping.feedback(survey, column(5, "score", header)).comment(column(6, "words", header));
    }
    mapping
}

/// Reads to the end: events, and the lines that are none.
fn all(
    reader: impl Iterator<Item = Result<impl Into<Entry>, ImportError>>,
    file: &[u8],
) -> Vec<Result<String, String>> {
    let lines = file.split(|byte| *byte == b'\n').count();
    let (mut found, mut last) = (Vec::new(), 0);
    for one in reader {
        assert!(found.len() < lines, "more is found than there are lines");
        found.push(match one {
            Ok(read) => {
                let entry = read.into();
                let written = serde_json::to_string(&entry).unwrap();
                match entry.as_event() {
                    Some(event) => event::check(event),
                    None => assert_eq!(serde_json::from_str::<Entry>(&written).unwrap(), entry),
                }
                Ok(written)
            }
            Err(ImportError::Bad(bad)) => {
                assert!(bad.line() > last, "line {} after line {last}", bad.line());
                last = bad.line();
                Err(bad.to_string())
            }
            Err(error) => panic!("{error:?}"),
        });
    }
    found
}

/// Gives few bytes at once.
struct Drops<'a>(&'a [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let few = buffer.len().min(3);
        self.0.read(&mut buffer[..few])
    }
}
