//! Lines of a file, none of them longer than the limit.

use std::io::{self, BufRead, BufReader, Read};

use super::LIMIT_LINE_BYTES;

const BUFFER_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads lines, and counts them.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    number: u64,
}

/// What a reading of a line brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read1 {
    /// A line, without its `\n`.
    Line,
    /// The beginning of a line over the limit; the rest was skipped.
    TooLong,
    /// The end of the file.
    End,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER_BYTES, reader), number: 0 }
    }

    /// The number of the last line read, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Reads the next line in place of what `line` holds. A byte order mark at the start of the file is left out.
    pub(super) fn read(&mut self, line: &mut Vec<u8>) -> io::Result<Read1> {
        line.clear();
        let (mut any, mut too_long) = (false, false);
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() && !any {
                return Ok(Read1::End);
            }
            any = true;
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            let room = LIMIT_LINE_BYTES.saturating_sub(line.len());
            too_long |= part.len() > room;
            line.extend_from_slice(part.get(..room).unwrap_or(part));
            let (used, last) = (end.map_or(chunk.len(), |end| end + 1), end.is_some() || chunk.is_empty());
            self.reader.consume(used);
            if last {
                break;
            }
        }
        if self.number == 0 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        self.number += 1;
        Ok(if too_long { Read1::TooLong } else { Read1::Line })
    }
}

/// The reason of every line that is too long.
pub(super) fn too_long() -> String {
    format!("is longer than {LIMIT_LINE_BYTES} bytes")
}

/// True if a line holds nothing but blanks.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<(Read1, usize)> {
        let mut lines = Lines::new(text);
        let mut line = Vec::new();
        let mut found = Vec::new();
        loop {
            match lines.read(&mut line).unwrap() {
                Read1::End => return found,
                kind => found.push((kind, line.len())),
            }
        }
    }

    #[test]
    fn the_last_line_needs_no_end() {
        assert_eq!(all(b""), []);
        assert_eq!(all(b"ab\nc"), [(Read1::Line, 2), (Read1::Line, 1)]);
        assert_eq!(all(b"ab\n\n"), [(Read1::Line, 2), (Read1::Line, 0)]);
        assert_eq!(all(b"\xEF\xBB\xBFab"), [(Read1::Line, 2)]);
    }

    #[test]
    fn the_limit_is_exact_and_what_follows_is_read() {
        let mut text = vec![b'x'; LIMIT_LINE_BYTES];
        text.extend_from_slice(b"\n");
        text.extend_from_slice(&vec![b'y'; LIMIT_LINE_BYTES + 1]);
        text.extend_from_slice(b"\nz\n");
        let full = LIMIT_LINE_BYTES;
        assert_eq!(all(&text), [(Read1::Line, full), (Read1::TooLong, full), (Read1::Line, 1)]);
    }
}
