//! Records of a CSV file: which lines belong together, and which cells they have.

use std::{
    collections::VecDeque,
    io::{self, Read},
    mem,
};

use csv::ByteRecord;

use super::{
    BadLine, Delimiter, LIMIT_LINE_BYTES,
    lines::{Lines, Read1, is_blank, too_long},
};

/// Reads records, and goes on after a quote that never ends.
///
/// The `csv` crate splits a record into cells; this decides where a record ends. Left to itself, one stray quote would
/// swallow the rest of the file, and all memory.
pub(super) struct Records<R> {
    lines: Lines<R>,
    /// Lines that were looked at for the end of a quote in vain, to be read again.
    again: VecDeque<(u64, Read1, Vec<u8>)>,
    /// So many of these, from the first on, and their bytes: a quote that is open before them is open after them. Else
    /// each of many stray quotes would have the same lines looked at once more.
    open: (usize, usize),
    /// A line, then a whole record.
    text: Vec<u8>,
    number: u64,
    cells: Cells,
}

enum Cells {
    Quoted { delimiter: u8, reader: Box<csv::Reader<Feed>> },
    Blanks,
}

/// The text of one record on its way into the `csv` reader.
#[derive(Default)]
struct Feed {
    text: Vec<u8>,
    at: usize,
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

/// Where in a record a byte stands; the rules are those of the `csv` crate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    CellStart,
    Plain,
    Quoted,
    /// After a quote in a quoted cell: its end, or the first of two quotes that mean one.
    QuoteSeen,
}

fn scan(mut at: At, line: &[u8], delimiter: u8) -> At {
    for &byte in line {
        at = match (at, byte) {
            (At::Quoted, b'"') => At::QuoteSeen,
            (At::Quoted, _) | (At::CellStart | At::QuoteSeen, b'"') => At::Quoted,
            (_, byte) if byte == delimiter => At::CellStart,
            _ => At::Plain,
        };
    }
    at
}

impl<R: Read> Records<R> {
    pub(super) fn new(input: R, delimiter: Delimiter) -> Self {
        let cells = match delimiter.byte() {
            None => Cells::Blanks,
            Some(delimiter) => {
                let mut builder = csv::ReaderBuilder::new();
                builder.delimiter(delimiter).has_headers(false).flexible(true);
                builder.terminator(csv::Terminator::Any(b'\n'));
                Cells::Quoted { delimiter, reader: Box::new(builder.from_reader(Feed::default())) }
            }
        };
        Self { lines: Lines::new(input), again: VecDeque::new(), open: (0, 0), text: Vec::new(), number: 0, cells }
    }

    /// The number of the first line of the last record.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The text of the last record, without its end.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Reads the next record; blank lines are skipped. `None` at the end.
    pub(super) fn read(&mut self, record: &mut ByteRecord) -> io::Result<Option<Result<(), BadLine>>> {
        let mut line = mem::take(&mut self.text);
        let found = self.read_text(&mut line);
        self.text = line;
        match found? {
            None => return Ok(None),
            Some(Err(reason)) => return Ok(Some(Err(self.bad(reason)))),
            Some(Ok(())) => {}
        }
        match &mut self.cells {
            Cells::Blanks => {
                record.clear();
                self.text
                    .split(u8::is_ascii_whitespace)
                    .filter(|cell| !cell.is_empty())
                    .for_each(|cell| record.push_field(cell));
            }
            Cells::Quoted { reader, .. } => {
                let feed = reader.get_mut();
                feed.text.clear();
                feed.text.extend_from_slice(&self.text);
                feed.text.push(b'\n');
                feed.at = 0;
                reader.read_byte_record(record)?;
            }
        }
        Ok(Some(Ok(())))
    }

    /// What is wrong with the last record.
    pub(super) fn bad(&self, reason: impl Into<String>) -> BadLine {
        BadLine::new(self.number, reason, &self.text)
    }

    fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<(u64, Read1)> {
        if let Some((number, read, text)) = self.again.pop_front() {
            let (lines, bytes) = self.open;
            self.open = (lines.saturating_sub(1), bytes.saturating_sub(text.len() + 1));
            *line = text;
            return Ok((number, read));
        }
        let read = self.lines.read(line)?;
        Ok((self.lines.number(), read))
    }

    /// Reads lines up to the end of a record. The inner error is the reason why the first line is bad.
    fn read_text(&mut self, text: &mut Vec<u8>) -> io::Result<Option<Result<(), String>>> {
        loop {
            let (number, read) = self.next_line(text)?;
            self.number = number;
            match read {
                Read1::End => return Ok(None),
                Read1::TooLong => return Ok(Some(Err(too_long()))),
                Read1::Line if is_blank(text) => {}
                Read1::Line => break,
            }
        }
        let Cells::Quoted { delimiter, .. } = self.cells else { return Ok(Some(Ok(()))) };
        if scan(At::CellStart, text, delimiter) == At::Quoted && !self.close_quote(text, delimiter)? {
            return Ok(Some(Err(format!("a quote is not closed within {LIMIT_LINE_BYTES} bytes"))));
        }
        if text.last() == Some(&b'\r') {
            text.pop();
        }
        Ok(Some(Ok(())))
    }

    /// Adds the lines up to the end of a quote that is open; false, and nothing is added, if it does not end in time.
    fn close_quote(&mut self, text: &mut Vec<u8>, delimiter: u8) -> io::Result<bool> {
        loop {
            let (lines, bytes) = self.open;
            if lines == self.again.len() {
                let mut line = Vec::new();
                let read = self.lines.read(&mut line)?;
                if read == Read1::End {
                    return Ok(false);
                }
                self.again.push_back((self.lines.number(), read, line));
            }
            let Some((_, Read1::Line, line)) = self.again.get(lines) else { return Ok(false) };
            if text.len() + bytes + line.len() >= LIMIT_LINE_BYTES {
                return Ok(false);
            }
            if scan(At::Quoted, line, delimiter) != At::Quoted {
                for (_, _, line) in self.again.drain(..=lines) {
                    text.push(b'\n');
                    text.extend_from_slice(&line);
                }
                self.open = (0, 0);
                return Ok(true);
            }
            self.open = (lines + 1, bytes + line.len() + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Vec<(u64, Result<Vec<String>, String>)>;

    fn all(text: &str, delimiter: Delimiter) -> Found {
        let mut records = Records::new(text.as_bytes(), delimiter);
        let mut record = ByteRecord::new();
        let mut found = Vec::new();
        while let Some(read) = records.read(&mut record).unwrap() {
            let cells = || record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
            found.push((records.number(), read.map(|()| cells()).map_err(|bad| bad.reason().to_owned())));
        }
        found
    }

    fn cells(line: u64, cells: &[&str]) -> (u64, Result<Vec<String>, String>) {
        (line, Ok(cells.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn quotes_and_embedded_lines() {
        let text = "a,b\r\n\r\n1,\"x, \"\"y\"\"\r\nz\"\r\n2,in \"the\" middle\n\"3\"x,\n";
        assert_eq!(
            all(text, Delimiter::Comma),
            [
                cells(1, &["a", "b"]),
                cells(3, &["1", "x, \"y\"\r\nz"]),
                cells(5, &["2", "in \"the\" middle"]),
                cells(6, &["3x", ""]),
            ]
        );
    }

    #[test]
    fn a_stray_quote_spoils_one_line() {
        let text = "a,b\n1,\"x\n2,y\n3,z\n";
        let found = all(text, Delimiter::Comma);
        assert_eq!(found.len(), 4);
        assert!(found[1].1.as_ref().unwrap_err().starts_with("a quote is not closed"));
        assert_eq!(found[2..], [cells(3, &["2", "y"]), cells(4, &["3", "z"])]);
    }

    #[test]
    fn a_stray_quote_before_a_long_rest() {
        let long = "y".repeat(1023 - 2);
        let rest = format!("2,{long}\n").repeat(2 * 1024);
        let found = all(&format!("1,\"x\n{rest}"), Delimiter::Comma);
        assert_eq!(found.len(), 2 * 1024 + 1);
        assert_eq!(found[2 * 1024], cells(2 * 1024 + 1, &["2", &long]));
        assert_eq!(found.iter().filter(|(_, cells)| cells.is_err()).count(), 1);
    }

    #[test]
    fn a_line_that_is_too_long_stays_so_behind_a_stray_quote() {
        let long = "y".repeat(LIMIT_LINE_BYTES + 1);
        let found = all(&format!("1,\"x\n{long}\n2,y\n"), Delimiter::Comma);
        assert_eq!(found.len(), 3);
        assert!(found[0].1.as_ref().unwrap_err().starts_with("a quote is not closed"));
        assert!(found[1].1.as_ref().unwrap_err().starts_with("is longer than"));
        assert_eq!(found[2], cells(3, &["2", "y"]));
    }

    /// Each of these lines opens a quote, whether or not one is open before it. To look for the end of each anew takes time
    /// with the square of their number.
    #[test]
    fn many_stray_quotes_take_no_longer_than_one() {
        let lines = 300_000;
        let found = all(&"a\"b,\"\n".repeat(lines), Delimiter::Comma);
        assert_eq!(found.len(), lines);
        assert!(found.iter().all(|(_, cells)| cells.is_err()));
    }

    #[test]
    fn blanks_part_cells() {
        let text = " 00004 0001  19970101\t2   29.33\r\n\n x\n";
        let expected = [cells(1, &["00004", "0001", "19970101", "2", "29.33"]), cells(3, &["x"])];
        assert_eq!(all(text, Delimiter::Blanks), expected);
    }

    /// Where a record ends is decided here and must be where the `csv` crate ends it: else the two go out of step.
    #[test]
    fn the_csv_crate_agrees() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..3_000 {
            let text: String =
                (0..random.usize(1..12)).map(|_| random.choice(['a', '"', ',', '\n']).unwrap()).collect();
            let mine: Vec<_> = all(&text, Delimiter::Comma);
            if mine.iter().any(|(_, cells)| cells.is_err()) {
                continue;
            }
            let mut reader = csv::ReaderBuilder::new();
            let reader = reader.has_headers(false).flexible(true).from_reader(text.as_bytes());
            let theirs: Vec<_> =
                reader.into_records().map(|r| r.unwrap().iter().map(String::from).collect::<Vec<_>>()).collect();
            assert_eq!(mine.into_iter().map(|(_, cells)| cells.unwrap()).collect::<Vec<_>>(), theirs, "{text:?}");
        }
    }
}
