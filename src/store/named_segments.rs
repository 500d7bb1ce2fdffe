//! Segments that have a name: a small file beside the mark, which no rewriting of the log touches.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{Store, files};
use crate::{
    codec::{frame, unframe},
    error::{Error, ErrorKind, InvalidPlan, InvalidValue, Result},
    model::{Segment, check_name},
};

pub(super) const FILE: &str = "SEGMENTS";
const KIND: [u8; 4] = *b"JLNS";
/// A segment that names another came with the second.
const VERSION: u32 = 2;
const WHAT: &str = "the file SEGMENTS, which holds segments with a name";
/// At most so many segments have a name.
pub const LIMIT_NAMED_SEGMENTS: usize = 1_000;
/// A segment with a name takes at most so many bytes of JSON: 64 KiB.
pub const LIMIT_NAMED_SEGMENT_BYTES: usize = 64 << 10;

/// What is kept, shared with every snapshot.
pub(super) type NamedSegments = Arc<BTreeMap<String, Segment>>;

/// Reads those of a store.
pub(super) fn read(dir: &Path) -> Result<NamedSegments> {
    let Some(bytes) = files::read(&dir.join(FILE))? else { return Ok(NamedSegments::default()) };
    let payload = unframe(WHAT, KIND, VERSION, &bytes)?;
    // What a checksum that fits holds was checked when it was defined; its text may name a person.
    let named: BTreeMap<String, Segment> =
        serde_json::from_slice(payload).map_err(|_| Error::damaged(WHAT, "it holds something that is no segment"))?;
    Ok(Arc::new(named))
}

/// Writes them whole, power-safe when this returns. Where there are none and were none, no file is made.
pub(super) fn write(named: &BTreeMap<String, Segment>, dir: &Path) -> Result<()> {
    let path = dir.join(FILE);
    if named.is_empty() && !path.exists() {
        return Ok(());
    }
    let payload = serde_json::to_vec(named).map_err(|error| Error::io("writing", &path, error.into()))?;
    // Where no segment names another, earlier releases read it too.
    let version = if named.values().any(|segment| segment.names(|_| true)) { VERSION } else { 1 };
    files::replace(&path, &frame(KIND, version, &payload))
}

/// The bytes that a segment takes as JSON, which must be read again as it was.
fn written(name: &str, segment: &Segment) -> Result<usize> {
    let refused = |_| InvalidValue::new("segment", "nests too deep to be kept: put parts of it side by side");
    let payload = serde_json::to_vec(&BTreeMap::from([(name, segment)])).map_err(refused)?;
    serde_json::from_slice::<BTreeMap<String, Segment>>(&payload).map_err(refused)?;
    Ok(payload.len())
}

impl Store {
    /// Keeps a segment under a name, in the place of one that has it already; power-safe when this returns. Questions asked
    /// of snapshots that are taken from now on may name it: `query.segment("abandoned carts")`, in JSON
    /// `"scope":{"segment":"abandoned carts"}`. Backups have it too.
    ///
    /// It is kept as it is given, whoever is erased: name no persons in its conditions. It may name others that are kept
    /// ([`Segment::named`]); whoever changes one of these changes it too.
    ///
    /// # Errors
    /// `InvalidPlan` if it names a segment that is not kept, or itself, by way of however many others, or if it, or one that names it,
    /// would be too large with what its names stand for (32 levels, 64 leaves);
    /// `InvalidValue` if the name is no name, or the segment and its conditions nest so deep together that their JSON could not be
    /// read again (127 levels); `Limit` if there are 1,000 already, or it takes more than 64 KiB of JSON; `Full` or
    /// `Io` if it could not be written, and then those before hold; `Closed` after a close.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = journeylog::Store::open(dir.path().join("shop.journey"))?;
    /// use chrono::{TimeDelta, Utc};
    /// use journeylog::{Event, Funnel, Question, Segment};
    /// store.append(Event::at(Utc::now() - TimeDelta::days(9), "c-42", "add_to_cart"))?;
    /// store.append(Event::at(Utc::now(), "c-7", "product_view"))?;
    ///
    /// let abandoned = Segment::did("add_to_cart").then_not("purchase").within(TimeDelta::days(3)).build()?;
    /// store.define_segment("abandoned carts", &abandoned)?;
    /// assert_eq!(store.segment("abandoned carts"), Some(abandoned));
    /// let question = Question::read(r#"{"stages":{"customers":true},"scope":{"segment":"abandoned carts"}}"#)?;
    /// assert!(store.query().ask(&question)?[0].to_string().contains("c-42"));
    ///
    /// assert!(store.remove_segment("abandoned carts")?);
    /// let refused = store.query().ask(&question).unwrap_err().to_string();
    /// assert_eq!(refused, "scope.segment: no segment is stored under the name abandoned carts (there is none)");
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn define_segment(&self, name: impl AsRef<str>, segment: &Segment) -> Result<()> {
        let name = name.as_ref();
        check_name("segment", name)?;
        let bytes = written(name, segment)?;
        if bytes > LIMIT_NAMED_SEGMENT_BYTES {
            let (what, limit) = ("bytes of a segment with a name", LIMIT_NAMED_SEGMENT_BYTES as u64);
            return Err(ErrorKind::Limit { what, found: bytes as u64, limit }.into());
        }
        self.change_segments(|named| {
            named.insert(name.to_owned(), segment.clone());
            if named.len() > LIMIT_NAMED_SEGMENTS {
                let (found, limit) = (named.len() as u64, LIMIT_NAMED_SEGMENTS as u64);
                return Err(ErrorKind::Limit { what: "segments with a name (remove some)", found, limit }.into());
            }
            // It, and those that name it.
            segment.part(named, Some(name))?;
            let mut naming = named.iter().filter(|(_, other)| other.names(|_| true));
            naming.try_for_each(|(other, segment)| segment.part(named, Some(other)).map(drop))?;
            Ok(())
        })
    }

    /// Removes the segment of that name, and says whether there was one. Snapshots that were taken before still have it.
    ///
    /// # Errors
    /// `InvalidPlan` if another segment names it: remove that one, or change it, before; `Full` or `Io` if that could not be written, and then it is still there; `Closed` after a close.
    pub fn remove_segment(&self, name: impl AsRef<str>) -> Result<bool> {
        let mut was_there = false;
        self.change_segments(|named| {
            was_there = named.remove(name.as_ref()).is_some();
            match named.iter().find(|(_, other)| was_there && other.names(|inner| inner == name.as_ref())) {
                Some((other, _)) => {
                    let reason = format!("is named by the segment {other}, which must be removed or changed before");
                    Err(InvalidPlan::new(format!("segment({})", name.as_ref()), reason).into())
                }
                None => Ok(()),
            }
        })?;
        Ok(was_there)
    }

    /// All segments that have a name.
    pub fn segments(&self) -> BTreeMap<String, Segment> {
        (*self.shared().named_segments()).clone()
    }

    /// The segment of that name.
    pub fn segment(&self, name: impl AsRef<str>) -> Option<Segment> {
        self.shared().named_segments().get(name.as_ref()).cloned()
    }

    fn change_segments(&self, change: impl FnOnce(&mut BTreeMap<String, Segment>) -> Result<()>) -> Result<()> {
        self.while_open(|shared| {
            let before = shared.named_segments();
            let mut named = (*before).clone();
            change(&mut named)?;
            if named != *before {
                shared.check_place()?;
                write(&named, &shared.dir)?;
                shared.set_named_segments(Arc::new(named));
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_segments_have_names() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let segment = |place: &str| Segment::did(place).build().unwrap();
        let named = (1..LIMIT_NAMED_SEGMENTS).map(|i| (format!("s{i}"), segment("a"))).collect();
        store.shared().set_named_segments(Arc::new(named));
        store.define_segment("last", &segment("a")).unwrap();
        let refused = store.define_segment("one more", &segment("a")).unwrap_err().to_string();
        assert_eq!(refused, "segments with a name (remove some): 1001 is over the limit of 1000");
        store.define_segment("last", &segment("b")).unwrap();
        store.close().unwrap();
        let again = Store::open(dir.path()).unwrap();
        assert_eq!((again.segments().len(), again.segment("last")), (LIMIT_NAMED_SEGMENTS, Some(segment("b"))));
    }

    #[test]
    fn a_definition_that_cannot_be_written_leaves_those_before() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let segment = |place: &str| Segment::did(place).build().unwrap();
        store.define_segment("a", &segment("a")).unwrap();
        // A folder in the way of the temporary file.
        let in_the_way = dir.path().join("SEGMENTS.tmp");
        std::fs::create_dir(&in_the_way).unwrap();
        assert!(store.define_segment("a", &segment("b")).is_err());
        assert!(store.remove_segment("a").is_err());
        assert_eq!(store.segment("a"), Some(segment("a")));
        std::fs::remove_dir(&in_the_way).unwrap();
        store.close().unwrap();
        assert_eq!(Store::open(dir.path()).unwrap().segment("a"), Some(segment("a")));
    }
}
