//! Several files of the index becoming one, a bounded step at a time, so that it can be set aside for something urgent,
//! or given up.

use std::{path::Path, sync::Arc};

use super::{
    files,
    id_run::{IdMerge, IdRun},
    scan::Scan,
    segment::Segment,
    segment_writer::SegmentWriter,
};
use crate::{
    error::Result,
    journey::{Chunk, Needs},
};

/// A merge that is under way. If it is dropped, it leaves no file.
pub(crate) enum Merging {
    Segments { inputs: Vec<Arc<Segment>>, merge: Box<SegmentMerge> },
    Ids { inputs: Vec<Arc<IdRun>>, merge: Box<IdMerge> },
}

/// What a merge has made, and of what. The output counts only once the index goes by it.
pub(crate) enum Merged {
    Segments { inputs: Vec<Arc<Segment>>, output: Arc<Segment> },
    Ids { inputs: Vec<Arc<IdRun>>, output: Arc<IdRun> },
}

impl Merging {
    pub(crate) fn of_segments(path: &Path, inputs: Vec<Arc<Segment>>) -> Result<Self> {
        let merge = SegmentMerge::begin(path, Scan::new(inputs.clone(), Vec::new()))?;
        Ok(Self::Segments { inputs, merge: Box::new(merge) })
    }

    pub(crate) fn of_ids(path: &Path, inputs: Vec<Arc<IdRun>>) -> Result<Self> {
        let merge = IdMerge::begin(path, &inputs)?;
        Ok(Self::Ids { inputs, merge: Box::new(merge) })
    }

    /// Does some of it; false if nothing is left to do but [`finish`](Self::finish).
    pub(crate) fn step(&mut self) -> Result<bool> {
        match self {
            Self::Segments { merge, .. } => merge.step(),
            Self::Ids { merge, .. } => merge.step(),
        }
    }

    pub(crate) fn finish(self) -> Result<Merged> {
        Ok(match self {
            Self::Segments { inputs, merge } => Merged::Segments { inputs, output: Arc::new(merge.finish()?) },
            Self::Ids { inputs, merge } => Merged::Ids { inputs, output: Arc::new(merge.finish()?) },
        })
    }
}

impl Merged {
    /// Removes what was made after all.
    pub(crate) fn undo(&self) {
        let made = match self {
            Self::Segments { output, .. } => output.path(),
            Self::Ids { output, .. } => output.path(),
        };
        // What stays is found and removed at the next open.
        let _ = files::remove(made);
    }
}

/// What a scan reads, written as a segment chunk by chunk.
pub(crate) struct SegmentMerge {
    scan: Scan,
    chunk: usize,
    writer: SegmentWriter,
}

impl SegmentMerge {
    pub(crate) fn begin(path: &Path, scan: Scan) -> Result<Self> {
        Ok(Self { scan, chunk: 0, writer: SegmentWriter::create(path)? })
    }

    /// Writes a chunk; false if there was none left.
    pub(crate) fn step(&mut self) -> Result<bool> {
        if self.chunk >= self.scan.chunks() {
            return Ok(false);
        }
        let sources = self.scan.load(self.chunk, &Needs::everything())?;
        self.writer.push(&Chunk::new(sources.iter().map(Into::into).collect()))?;
        self.chunk += 1;
        Ok(true)
    }

    pub(crate) fn finish(self) -> Result<Segment> {
        self.writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journey::{ChannelNo, CustomerNo, NO_STAGE, PlainRow, Rows, TouchpointNo},
        model::Micros,
    };

    fn segment(path: &Path, seqs: std::ops::Range<u32>) -> Arc<Segment> {
        let mut rows = Rows::default();
        rows.extend(seqs.map(|seq| PlainRow {
            customer: CustomerNo(seq % 50_000),
            time: Micros(0),
            seq: seq.into(),
            touchpoint: TouchpointNo(0),
            channel: ChannelNo(0),
            stage: NO_STAGE,
        }));
        let scan = Scan::new(Vec::new(), vec![Arc::new(rows.into_columns())]);
        let mut merge = SegmentMerge::begin(path, scan).unwrap();
        while merge.step().unwrap() {}
        Arc::new(merge.finish().unwrap())
    }

    #[test]
    fn a_merge_has_many_steps_and_leaves_no_file_when_it_is_given_up_at_any_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let inputs: Vec<_> =
            (0..3).map(|i| segment(&dir.path().join(format!("{i}.segment")), i * 90_000..(i + 1) * 90_000)).collect();
        let files = || std::fs::read_dir(dir.path()).unwrap().count();
        let begin = || Merging::of_segments(&dir.path().join("all.segment"), inputs.clone()).unwrap();
        let mut steps = 0;
        let mut whole = begin();
        while whole.step().unwrap() {
            steps += 1;
        }
        assert!(steps > 1, "{steps}");
        let merged = whole.finish().unwrap();
        assert_eq!(files(), 4);
        merged.undo();
        for done in 0..=steps {
            let mut merge = begin();
            (0..done).for_each(|_| assert!(merge.step().unwrap()));
            drop(merge);
            assert_eq!(files(), 3, "given up after {done} steps");
        }
    }
}
