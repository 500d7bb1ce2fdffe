//! The background thread: seals fresh journeys, merges segments, folds blocks of the log, syncs, and keeps the witness.

use std::sync::Arc;

use super::shared::Shared;
use crate::error::Result;

/// Works until it is told to stop.
pub(super) fn run(shared: &Shared) {
    loop {
        let work = shared.wait_for_work();
        if work.stop {
            return;
        }
        if work.seal {
            // The failure is kept where appending sees it; the next append asks again.
            let _ = seal_and_merge(shared);
        }
        // If this fails the engine refuses later writes, and they say why.
        let _ = shared.sync_and_witness();
    }
}

/// Seals all fresh journeys, and merges what is then of one size.
pub(super) fn seal_and_merge(shared: &Shared) -> Result<()> {
    let sealed = seal(shared);
    shared.writer().seal_failed = sealed.as_ref().err().map(ToString::to_string);
    shared.make_room();
    sealed?;
    merge(shared)
}

fn seal(shared: &Shared) -> Result<()> {
    let mut index = shared.index();
    let (fresh, ids, head) = {
        let mut writer = shared.writer();
        (writer.fresh.begin_sealing(), writer.ids.begin_sealing(), writer.head)
    };
    if fresh.is_empty() {
        return Ok(());
    }
    let from = index.through().seq.saturating_add(1);
    // The index must not go further than what the log is sure to hold.
    let sealed = shared.log.engine().sync().and_then(|()| index.seal(&fresh, &ids, head, &shared.names));
    let mut writer = shared.writer();
    if let Err(error) = sealed {
        writer.fresh.give_up_sealing();
        return Err(error);
    }
    writer.fresh.end_sealing();
    writer.ids.end_sealing(index.ids.clone());
    writer.segments.clone_from(&index.segments);
    shared.publish(&writer);
    drop(writer);
    drop(index);
    shared.make_room();
    shared.log.fold(from, head.seq)
}

fn merge(shared: &Shared) -> Result<()> {
    let mut index = shared.index();
    while index.merge_some(&shared.names)? {
        let mut writer = shared.writer();
        writer.ids.runs.clone_from(&index.ids);
        writer.segments.clone_from(&index.segments);
        shared.publish(&writer);
    }
    Ok(())
}

/// The thread of a store.
pub(super) fn spawn(shared: &Arc<Shared>) -> std::io::Result<std::thread::JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new().name("journeylog".to_owned()).spawn(move || run(&shared))
}
