//! NDJSON: one entry, as JSON, a line.

use std::{fmt, io::Read};

use super::{
    BadLine, ImportError,
    lines::{Lines, Read1, is_blank, too_long},
};
use crate::{error::without_value, model::Entry};

/// Reads entries from NDJSON: on each line one object, in exactly the JSON form of [`Entry`], which is that of an
/// [`Event`](crate::Event) for most.
///
/// Blank lines are skipped; a byte order mark at the start and `\r\n` are fine. A line that is not UTF-8, is over
/// [`LIMIT_LINE_BYTES`](super::LIMIT_LINE_BYTES), or is no event is an [`ImportError::Bad`], and reading goes on. After
/// an [`ImportError::Io`] the iterator ends.
///
/// ```
/// use journeylog::import::NdjsonReader;
/// let file = br#"{"id":"e-1","customer":"c-42","touchpoint":"home","occurred_at":"2026-03-01T09:30:00Z"}"#;
/// let events = NdjsonReader::new(&file[..]).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(events[0].customer().as_str(), "c-42");
/// # Ok::<(), journeylog::import::ImportError>(())
/// ```
pub struct NdjsonReader<R> {
    lines: Lines<R>,
    line: Vec<u8>,
    ended: bool,
}

impl<R: Read> NdjsonReader<R> {
    /// Reads from a file, or anything that gives bytes. It has a buffer of its own.
    pub fn new(reader: R) -> Self {
        Self { lines: Lines::new(reader), line: Vec::new(), ended: false }
    }

    /// The number of the last line read, from 1; 0 before the first.
    pub fn line(&self) -> u64 {
        self.lines.number()
    }
}

impl<R: Read> Iterator for NdjsonReader<R> {
    type Item = Result<Entry, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let read = self.lines.read(&mut self.line);
            let number = self.lines.number();
            let bad = |reason| Err(ImportError::Bad(BadLine::new(number, reason, trim_end(&self.line))));
            match read {
                Ok(Read1::Line) if is_blank(&self.line) => {}
                Ok(Read1::Line) => return Some(parse(&self.line).or_else(bad)),
                Ok(Read1::TooLong) => return Some(bad(too_long())),
                Ok(Read1::End) => self.ended = true,
                Err(source) => {
                    self.ended = true;
                    return Some(Err(ImportError::Io { line: number, source }));
                }
            }
        }
        None
    }
}

impl<R: Read> std::iter::FusedIterator for NdjsonReader<R> {}

impl<R> fmt::Debug for NdjsonReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NdjsonReader").field("ended", &self.ended).finish_non_exhaustive()
    }
}

fn trim_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Reads one line; else says why not.
fn parse(line: &[u8]) -> Result<Entry, String> {
    let text = str::from_utf8(line).map_err(|e| format!("is not UTF-8 from byte {} on", e.valid_up_to() + 1))?;
    serde_json::from_str(text).map_err(|_| {
        // Read again, slower, to find out where.
        let mut reader = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, Entry>(&mut reader) {
            Err(error) => reason(&error.path().to_string(), error.inner()),
            Ok(_) => "has more after the event's end".to_owned(),
        }
    })
}

/// What serde says, and where, without the value it says it of.
fn reason(path: &str, error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    let mut place = String::new();
    if let Some(cut) = text.strip_suffix(&format!(" at line {} column {}", error.line(), error.column())) {
        text.truncate(cut.len());
        // Only the syntax needs a place: all else has a path.
        if !error.is_data() {
            place = format!(" at column {}", error.column());
        }
    }
    let text = without_value(text);
    if matches!(path, "." | "?") || text.starts_with(path) { text + &place } else { format!("{path}: {text}{place}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::LIMIT_LINE_BYTES;

    const GOOD: &str = r#"{"customer":"a","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z"}"#;

    fn bad_lines(text: &[u8]) -> (usize, Vec<BadLine>) {
        let (mut good, mut bad) = (0, Vec::new());
        for line in NdjsonReader::new(text) {
            match line {
                Ok(_) => good += 1,
                Err(ImportError::Bad(line)) => bad.push(line),
                Err(error) => panic!("{error}"),
            }
        }
        (good, bad)
    }

    #[test]
    fn good_lines_around_bad_ones_are_read() {
        let mut text = format!("\u{feff}{GOOD}\r\n\r\n   \n{{\"customer\":1}}\r\n{GOOD}\n").into_bytes();
        text.extend_from_slice(b"\xff\xfe\n");
        text.extend_from_slice(&vec![b'x'; LIMIT_LINE_BYTES + 5]);
        text.extend_from_slice(format!("\n{GOOD}").as_bytes());
        let (good, bad) = bad_lines(&text);
        assert_eq!(good, 3);
        let found: Vec<_> = bad.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "line 4: customer: invalid type: integer, expected a string",
                "line 6: is not UTF-8 from byte 1 on",
                "line 7: is longer than 1048576 bytes",
            ]
        );
        assert_eq!(bad[0].raw(), br#"{"customer":1}"#);
        assert_eq!(bad[1].raw(), b"\xff\xfe");
    }

    #[test]
    fn reasons_name_the_field_and_not_the_person() {
        let cases = [
            (r#"{"customer":"Ann"}"#, "missing field `touchpoint`"),
            (r#" ["Ann","t"]"#, "invalid type: sequence, expected an object"),
            (r#"{"customer":"","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z"}"#, "customer: is empty"),
            (r#"{"customer":"Ann","touchpoint":"t","occurred_at":"Ann"}"#, "occurred_at: "),
            (r#"{"customer":"Ann","touchpoint":"t","occurred_at":7}"#, "occurred_at: invalid type: integer, expected "),
            (
                r#"{"customer":"Ann","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z","feedback":{"nps":"Ann"}}"#,
                "feedback.nps: invalid type: string, expected u8",
            ),
            (
                r#"{"customer":"Ann","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z","feedback":{"nps":11}}"#,
                "feedback.nps: 11 is outside 0 to 10",
            ),
            (
                r#"{"customer":"Ann","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z","value":{"amount":"Ann","currency":"EUR"}}"#,
                "value: amount: is not a decimal number",
            ),
            (
                r#"{"customer":"Ann","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z","shop":1}"#,
                "shop: unknown field",
            ),
            (r#"{"customer":"Ann""#, "EOF while parsing an object at column 17"),
            (r#"{"customer":"Ann","touchpoint":"t","occurred_at":"2026-01-01T00:00:00Z"} {}"#, "has more after"),
        ];
        for (text, expected) in cases {
            let (_, bad) = bad_lines(text.as_bytes());
            assert!(bad[0].reason().starts_with(expected), "{}", bad[0]);
            assert!(!format!("{bad:?}{}", bad[0]).contains("Ann"), "{}", bad[0]);
        }
    }

    #[test]
    fn a_failing_input_ends_the_reading() {
        struct Cut(usize);
        impl Read for Cut {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0 += 1;
                if self.0 > 1 {
                    return Err(std::io::Error::other("cut"));
                }
                let line = format!("{GOOD}\n{{");
                buffer[..line.len()].copy_from_slice(line.as_bytes());
                Ok(line.len())
            }
        }
        let mut reader = NdjsonReader::new(Cut(0));
        assert!(reader.next().unwrap().is_ok());
        assert!(matches!(reader.next(), Some(Err(ImportError::Io { line: 1, .. }))));
        assert!(reader.next().is_none());
    }
}
