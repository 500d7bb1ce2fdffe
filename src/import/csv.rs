//! CSV: a record a line, or several lines if a quoted cell has line ends in it.

use std::{fmt, io::Read};

use csv::ByteRecord;

use super::{BadLine, CsvMapping, ImportError, LIMIT_COLUMNS, cells::Bound, records::Records};
use crate::{error::InvalidValue, model::Event};

/// Reads events from a CSV file; made by [`CsvMapping::read`].
///
/// Blank lines are skipped; a byte order mark at the start and `\r\n` are fine. A record is bad, and reading goes on, if
/// it has not as many cells as the header, if a cell that is asked for is missing or refused, or if it is over
/// [`LIMIT_LINE_BYTES`](super::LIMIT_LINE_BYTES); a quote that is not closed within that limit spoils its own line only.
/// After an [`ImportError::Io`] the iterator ends.
///
/// ```
/// use journeylog::import::CsvMapping;
/// let file = "user_id,event,timestamp\nann,cart,2026-03-01 09:30:00\nbob,cart,yesterday\n";
/// let mut reader = CsvMapping::new("user_id", "event", "timestamp").read(file.as_bytes())?;
/// assert!(reader.next().unwrap().is_ok());
/// let bad = reader.next().unwrap().unwrap_err();
/// assert_eq!(bad.to_string(), "line 3: occurred_at (column timestamp): is not a time of the format rfc3339");
/// assert_eq!(bad.bad_line().unwrap().raw(), b"bob,cart,yesterday");
/// # Ok::<(), journeylog::import::ImportError>(())
/// ```
pub struct CsvReader<R> {
    records: Records<R>,
    bound: Option<Bound>,
    record: ByteRecord,
    /// True while the first record is data and waits.
    waiting: bool,
    header: Option<Vec<u8>>,
}

impl<R: Read> CsvReader<R> {
    pub(super) fn new(mapping: &CsvMapping, input: R) -> Result<Self, ImportError> {
        let mut records = Records::new(input, mapping.delimiter);
        let mut record = ByteRecord::new();
        let refused = |reason: &str| ImportError::Mapping(InvalidValue::new("header", reason));
        let bound = match records.read(&mut record).map_err(|source| ImportError::Io { line: 0, source })? {
            Some(Ok(())) if record.len() > LIMIT_COLUMNS => {
                let reason = format!("has {} columns, the limit is {LIMIT_COLUMNS}", record.len());
                return Err(refused(&reason));
            }
            Some(Ok(())) => Some(Bound::new(mapping, &record).map_err(ImportError::Mapping)?),
            Some(Err(bad)) => return Err(refused(bad.reason())),
            None if mapping.header => return Err(refused("is missing: the file is empty")),
            None => None,
        };
        let header = mapping.header.then(|| records.text().to_vec());
        Ok(Self { records, bound, record, waiting: !mapping.header, header })
    }

    /// The number of the last line read, from 1; of its first line, if a record has several.
    pub fn line(&self) -> u64 {
        self.records.number()
    }

    /// The header as it stands in the file, if it has one; to be written above lines that are kept.
    pub fn header(&self) -> Option<&[u8]> {
        self.header.as_deref()
    }

    fn event(&self, bound: &Bound) -> Result<Event, BadLine> {
        bound.event(self.records.number(), &self.record).map_err(|reason| self.records.bad(reason))
    }
}

impl<R: Read> Iterator for CsvReader<R> {
    type Item = Result<Event, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let bound = self.bound.take()?;
        let read =
            if std::mem::take(&mut self.waiting) { Ok(Some(Ok(()))) } else { self.records.read(&mut self.record) };
        let found = match read {
            Ok(None) => return None,
            Err(source) => return Some(Err(ImportError::Io { line: self.records.number(), source })),
            Ok(Some(read)) => read.and_then(|()| self.event(&bound)).map_err(ImportError::Bad),
        };
        self.bound = Some(bound);
        Some(found)
    }
}

impl<R: Read> std::iter::FusedIterator for CsvReader<R> {}

impl<R> fmt::Debug for CsvReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvReader").field("ended", &self.bound.is_none()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        import::{Delimiter, Source},
        model::Survey,
    };

    fn shop() -> CsvMapping {
        CsvMapping::new("user", "event", "at")
    }

    fn read(mapping: &CsvMapping, text: &str) -> Vec<Result<String, String>> {
        let reader = mapping.read(text.as_bytes()).unwrap();
        reader.map(|r| r.map(|e| serde_json::to_string(&e).unwrap()).map_err(|e| e.to_string())).collect()
    }

    fn one(mapping: &CsvMapping, text: &str) -> Result<String, String> {
        let mut found = read(mapping, text);
        assert_eq!(found.len(), 1);
        found.pop().unwrap()
    }

    #[test]
    fn embedded_lines_are_counted() {
        let mapping = shop().property("note", "note");
        let text = "user,event,at,note\nann,cart,2026-03-01,\"a\nb\"\n\nbob,cart,never,x\n,cart,2026-03-01,\n";
        let found = read(&mapping, text);
        assert!(found[0].as_ref().unwrap().contains(r#""note":"a\nb""#));
        assert_eq!(found[1], Err("line 5: occurred_at (column at): is not a time of the format rfc3339".into()));
        assert_eq!(found[2], Err("line 6: customer (column user): is empty".into()));
        let bad = mapping.read(text.as_bytes()).unwrap().nth(1).unwrap().unwrap_err();
        assert_eq!(bad.bad_line().unwrap().raw(), b"bob,cart,never,x");
        assert!(!format!("{bad:?} {bad}").contains("bob"));
    }

    #[test]
    fn every_field_is_read() {
        let mapping: CsvMapping = serde_json::from_str(
            r#"{"customer":1,"touchpoint":"event","occurred_at":"at","channel":"ch","id":"key","stage":"st",
                "value":{"amount":"v","currency":"c"},"feedback":{"nps":"n","comment":"say"},
                "properties":{"plan":"p","from":{"constant":"file"}}}"#,
        )
        .unwrap();
        let text = "user,event,at,ch,key,st,v,c,n,say,p\nann, order ,2026-03-01,kiosk,k1,purchase,1.50,EUR,9,fine,1\n";
        let expected = r#"{"id":"k1","customer":"ann","touchpoint":"order","channel":"kiosk","occurred_at":"2026-03-01T00:00:00Z","stage":"purchase","value":{"amount":"1.50","currency":"EUR"},"feedback":{"nps":9,"comment":"fine"},"properties":{"from":"file","plan":"1"}}"#;
        assert_eq!(one(&mapping, text).unwrap(), expected);
        let empty = "user,event,at,ch,key,st,v,c,n,say,p\nann,order,2026-03-01,,k1,,,,,,\n";
        let expected = r#"{"id":"k1","customer":"ann","touchpoint":"order","channel":"web","occurred_at":"2026-03-01T00:00:00Z","properties":{"from":"file"}}"#;
        assert_eq!(one(&mapping, empty).unwrap(), expected);
        let again: CsvMapping = serde_json::from_str(&serde_json::to_string(&mapping).unwrap()).unwrap();
        assert_eq!(again, mapping);
    }

    #[test]
    fn what_is_refused_names_the_column() {
        let mapping = shop()
            .value("v", "c")
            .id(["key"])
            .feedback(Survey::Nps, "n")
            .feedback(Survey::Csat, "s")
            .comment("say")
            .channel("ch");
        for (cells, reason) in [
            (
                "a,e,2026-03-01,k,1e3,EUR,,,,",
                "value.amount (column v): is not a decimal number of at most 28 digits, such as 19.90",
            ),
            (
                "a,e,2026-03-01,k,1.0000000001,EUR,,,,",
                "value.amount (column v): has more than 9 digits after the point",
            ),
            (
                "a,e,2026-03-01,k,1,euro,,,,",
                "value.currency (column c): is not an ISO 4217 code of three capital letters, such as EUR",
            ),
            ("a,e,2026-03-01,k,1,,,,,", "value.currency (column c): is empty"),
            ("a,e,2026-03-01,k,,,11,,,", "feedback.nps (column n): 11 is outside 0 to 10"),
            ("a,e,2026-03-01,k,,,good,,,", "feedback.nps (column n): is not a whole number"),
            ("a,e,2026-03-01,k,,,9,5,,", "feedback.csat (column s): is a second score in one line"),
            ("a,e,2026-03-01,k,,,,,hi,", "feedback.comment (column say): is there without a score"),
            ("a,e,2026-03-01,,,,,,,", "id (column key): is empty"),
            ("a,,2026-03-01,k,,,,,,", "touchpoint (column event): is empty"),
            ("a,e,2026-02-30,k,,,,,,", "occurred_at (column at): is not a time of the format rfc3339"),
            ("a,e,2026-03-01,k,,,,,,\"a\nb\"", "channel (column ch): contains a control character"),
            ("a,e,2026-03-01,k", "has 4 cells, the header has 10"),
            ("a,e,2026-03-01,k,,,,,,,", "has 11 cells, the header has 10"),
        ] {
            let found = one(&mapping, &format!("user,event,at,key,v,c,n,s,say,ch\n{cells}\n"));
            assert_eq!(found, Err(format!("line 2: {reason}")), "{cells}");
        }
    }

    #[test]
    fn a_mapping_that_does_not_fit_is_refused_before_anything_is_read() {
        let refusal = |mapping: CsvMapping, text: &str| match mapping.read(text.as_bytes()) {
            Err(ImportError::Mapping(refused)) => refused.to_string(),
            other => panic!("{other:?}"),
        };
        let header = "user,event,at,x,x\n";
        assert_eq!(
            refusal(shop().stage("phase"), header),
            "stage: there is no column phase; the columns are user, event, at, x, x"
        );
        assert_eq!(refusal(shop().stage("x"), header), "stage: there are two columns x; give its number");
        assert_eq!(refusal(shop().other_properties(), header), "properties: there are two columns x");
        assert_eq!(refusal(shop().stage(6), header), "stage: there is no column 6, there are 5");
        assert_eq!(refusal(shop().stage(0), header), "stage: columns are numbered from 1");
        assert_eq!(refusal(shop().id_by_line(), header), "id: by line needs the file's name");
        assert_eq!(refusal(shop(), ""), "header: is missing: the file is empty");
        assert!(refusal(shop().without_header(), header).contains("no header to find column user in"));
        for (json, expected) in [
            (r#"{"customer":"u","touchpoint":"e","occurred_at":"t","shop":"x"}"#, "unknown field `shop`"),
            (r#"{"customer":true,"touchpoint":"e","occurred_at":"t"}"#, "column: is not a column's name"),
            (r#"{"customer":"u","touchpoint":"e","occurred_at":"t","time_format":"iso"}"#, "time_format: is none of"),
            (r#"{"customer":"u","touchpoint":"e","occurred_at":"t","delimiter":"ab"}"#, "delimiter: is none of"),
            (
                r#"{"customer":"u","touchpoint":"e","occurred_at":"t","value":{"amount":"v"}}"#,
                "missing field `currency`",
            ),
        ] {
            let refused = serde_json::from_str::<CsvMapping>(json).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn columns_have_a_limit() {
        let columns = |count: usize| {
            let text = format!("user,event,at{}\n", ",".repeat(count - 3));
            shop().other_properties().read(text.as_bytes()).map(Iterator::count)
        };
        assert_eq!(columns(LIMIT_COLUMNS).unwrap(), 0);
        let refused = columns(LIMIT_COLUMNS + 1).unwrap_err();
        let why = std::error::Error::source(&refused).unwrap().to_string();
        assert_eq!(why, "header: has 16385 columns, the limit is 16384");
        let many = ",".repeat(LIMIT_COLUMNS);
        assert!(CsvMapping::new(1, 2, 3).without_header().read(many.as_bytes()).is_err());
    }

    #[test]
    fn ids_of_several_columns_never_meet() {
        let mapping = shop().id(["user", "event"]);
        let id = |user: &str, event: &str| {
            let text = format!("user,event,at\n{user},{event},2026-03-01\n");
            let event = mapping.read(text.as_bytes()).unwrap().next().unwrap().unwrap();
            event.id().unwrap().as_str().to_owned()
        };
        assert_eq!(id("ann", "cart"), "ann|cart");
        assert_ne!(id("a|b", "c"), id("a", "b|c"));
        assert_ne!(id("a\\", "|c"), id("a", "\\||c"));
        assert!(id(&"a".repeat(200), &"b".repeat(200)).starts_with("xxh3:"));
    }

    #[test]
    fn ids_by_line_know_the_line_and_what_it_says() {
        let mapping = shop().id_by_line().file_name("shop.csv");
        let ids = |text: &str| -> Vec<String> {
            mapping.read(text.as_bytes()).unwrap().flatten().map(|e| e.id().unwrap().as_str().to_owned()).collect()
        };
        let file = "user,event,at\nann,cart,2026-03-01\nann,cart,2026-03-01\nbad\nbob,cart,2026-03-01\n";
        let first = ids(file);
        assert_eq!(first, ids(file));
        assert!(first[0].starts_with("shop.csv:2:") && first[2].starts_with("shop.csv:5:"), "{first:?}");
        let other = ids("user,event,at\neve,cart,2026-03-01\nann,cart,2026-03-01\n");
        assert_ne!(first[0], other[0]);
        assert_eq!(first[1], other[1]);
    }

    #[test]
    fn properties_are_text_unless_asked() {
        let text = "user,event,at,a,b,c,d,e\nann,cart,2026-03-01,007,1.5,true,12345678901234567890123,\n";
        assert!(
            one(&shop().other_properties(), text)
                .unwrap()
                .contains(r#""properties":{"a":"007","b":"1.5","c":"true","d":"12345678901234567890123"}"#)
        );
        assert!(
            one(&shop().other_properties().infer_types(), text)
                .unwrap()
                .contains(r#""properties":{"a":"007","b":1.5,"c":true,"d":"12345678901234567890123"}"#)
        );
    }

    #[test]
    fn a_file_of_blanks_without_header() {
        let mapping = CsvMapping::new(1, Source::constant("purchase"), 3)
            .time_format("%Y%m%d".parse().unwrap())
            .value(5, Source::constant("USD"))
            .other_properties()
            .infer_types()
            .delimiter(Delimiter::Blanks)
            .without_header();
        let found = read(&mapping, " 00004 0001 19970101  2   29.33\n 00004 0001 19970118\n");
        let expected = r#"{"customer":"00004","touchpoint":"purchase","channel":"web","occurred_at":"1997-01-01T00:00:00Z","value":{"amount":"29.33","currency":"USD"},"properties":{"column_2":"0001","column_4":2}}"#;
        assert_eq!(found[0].as_ref().unwrap(), expected);
        assert_eq!(found[1], Err("line 2: has 3 cells, the mapping asks for 5".into()));
        assert!(read(&mapping, "").is_empty());
    }
}
