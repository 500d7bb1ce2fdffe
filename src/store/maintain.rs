//! The background thread: seals fresh journeys, merges segments, folds blocks of the log, syncs, and keeps the witness.

use std::{sync::Arc, thread, time::Duration};

use super::shared::Shared;
use crate::error::Result;

/// After a seal that failed, the next is tried no sooner than this.
const PAUSE: Duration = Duration::from_millis(500);

/// Works until it is told to stop.
pub(super) fn run(shared: &Shared) {
    let _watch = Watch(shared);
    loop {
        let work = shared.wait_for_work();
        if work.stop {
            return;
        }
        if work.seal {
            // The failure is kept where appending and `stats` see it; the next append asks again.
            if seal(shared).and_then(|()| merge(shared)).is_err() {
                thread::sleep(PAUSE);
            }
        }
        // If this fails the engine refuses later writes, and they say why.
        let _ = shared.sync_and_witness();
    }
}

/// If the thread panics, nobody waits for it any more.
struct Watch<'a>(&'a Shared);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.writer().seal_failed = Some("the background thread stopped".to_owned());
            self.0.make_room();
        }
    }
}

/// Seals all fresh journeys into a segment.
pub(super) fn seal(shared: &Shared) -> Result<()> {
    let sealed = seal_fresh(shared);
    shared.writer().seal_failed = sealed.as_ref().err().map(ToString::to_string);
    shared.make_room();
    let (from, to) = sealed?;
    // Small blocks that cannot be folded stay as they are.
    let _ = shared.log.fold(from, to);
    Ok(())
}

/// The range of sequences that was sealed.
fn seal_fresh(shared: &Shared) -> Result<(u64, u64)> {
    let mut index = shared.index();
    let (fresh, ids, head) = {
        let mut writer = shared.writer();
        (writer.fresh.begin_sealing(), writer.ids.begin_sealing(), writer.head)
    };
    let from = index.through().seq.saturating_add(1);
    if fresh.is_empty() {
        return Ok((from, from));
    }
    // The index must not go further than what the log is sure to hold.
    let sealed = shared.log.engine().sync().and_then(|()| index.seal(&fresh, &ids, head, &shared.names));
    let mut writer = shared.writer();
    if let Err(error) = sealed {
        writer.fresh.give_up_sealing();
        return Err(error);
    }
    writer.fresh.end_sealing();
    writer.ids.end_sealing(index.ids().to_vec());
    writer.segments = index.segments().to_vec();
    shared.publish(&writer);
    Ok((from, head.seq))
}

fn merge(shared: &Shared) -> Result<()> {
    let mut index = shared.index();
    while index.merge_some(&shared.names)? {
        let mut writer = shared.writer();
        writer.ids.runs = index.ids().to_vec();
        writer.segments = index.segments().to_vec();
        shared.publish(&writer);
    }
    Ok(())
}

/// The thread of a store.
pub(super) fn spawn(shared: &Arc<Shared>) -> std::io::Result<thread::JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name("journeylog".to_owned()).spawn(move || run(&shared))
}
