//! Stores that earlier releases wrote are opened, answer as they did, and go on.

use std::fs;

use journeylog::{
    Answer, Backup, ErrorKind, Event, Journeys, Question, Store, StoreOptions, export, import::NdjsonReader,
};

use crate::{built, small_seals};

#[path = "../golden/stores/unpack.rs"]
mod unpack;

use unpack::{FORMATS, golden, unpack};

fn events() -> Vec<Event> {
    let text = fs::read(golden("events.ndjson")).unwrap();
    NdjsonReader::new(&text[..]).map(|entry| entry.unwrap().into_event().unwrap()).collect()
}

fn held(store: &Store) -> Vec<Event> {
    let mut text = Vec::new();
    export::all(&store.snapshot(), &mut text).unwrap();
    NdjsonReader::new(&text[..]).filter_map(|entry| entry.unwrap().into_event()).collect()
}

fn plans() -> Vec<Question> {
    Question::read(include_str!("../golden/stores/plans.json")).unwrap()
}

/// One line for each plan.
fn text(answers: &[Answer]) -> String {
    answers.iter().map(|answer| serde_json::to_string(answer).unwrap() + "\n").collect()
}

/// The answers of a store, with the sequences that events have where nobody was erased: ten places are empty after the first
/// hundred events, and ten after the second.
fn answers(store: &Store, has_gaps: bool) -> String {
    let answers = text(&store.snapshot().query().ask(&plans()).unwrap());
    let mut parts = answers.split("\"seq\":");
    let mut mapped = parts.next().unwrap().to_owned();
    for part in parts {
        let (number, rest) = part.split_at(part.find(|c: char| !c.is_ascii_digit()).unwrap());
        let seq: u64 = number.parse().unwrap();
        let gaps = if has_gaps { 10 * (u64::from(seq > 110) + u64::from(seq > 220)) } else { 0 };
        mapped += &format!("\"seq\":{}{rest}", seq - gaps);
    }
    mapped
}

#[test]
fn stores_of_every_format_answer_as_they_did_and_go_on() {
    let (events, right) = (events(), fs::read_to_string(golden("answers.json")).unwrap());
    let asked = text(&Journeys::of(events.clone()).unwrap().query().ask(&plans()).unwrap());
    assert!(asked == right, "the answers are now\n{asked}");
    let erased = ["gone-1", "gone-2"];
    for format in FORMATS {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("store");
        unpack(format, &folder);
        let mark = || fs::read_to_string(folder.join("JOURNEYLOG")).unwrap();
        assert!(mark().starts_with(&format!("{{\"journeylog\":{format}")), "{}", mark());
        let check = |store: &Store, when: &str| {
            assert_eq!(held(store), events, "format {format} {when}");
            assert_eq!(answers(store, format >= 3), right, "format {format} {when}");
            // A link and a profile.
            let others = if format >= 5 { 2 } else { 0 };
            assert_eq!(store.len() as usize, events.len() + others, "format {format} {when}");
            let linked = store.customer("linked-2").unwrap().map(|customer| customer.profile().unwrap().len());
            assert_eq!(linked, (format >= 5).then_some(1), "format {format} {when}");
        };

        let store = small_seals(&folder);
        let report = store.open_report();
        assert_eq!(report.mended, [] as [&str; 0], "format {format}");
        // Segments of earlier versions are made anew.
        assert_eq!(report.rebuilt.is_some(), format < 8, "format {format}: {report:?}");
        check(&store, "opened");
        assert!(mark().starts_with("{\"journeylog\":8,"), "{}", mark());
        // Ids are known, and who was erased stays out.
        let known = store.append_batch(events.iter().filter(|event| event.id().is_some()).cloned()).unwrap();
        assert_eq!(known.stored(), 0, "format {format}");
        if format >= 3 {
            assert_eq!(store.stats().unwrap().erased_on_disk, 1);
            assert_eq!(store.append_batch(erased.map(|id| built(id, "view", 1))).unwrap().erased(), [0, 1]);
        }
        let erasures = store.erasures();
        assert_eq!(
            erasures.iter().map(|erasure| erasure.events).collect::<Vec<_>>(),
            &[10, 10][..2 * usize::from(format >= 3)]
        );
        // Blocks of old versions are copied, folded and written anew.
        let backup = dir.path().join("backup");
        let made = store.backup(&backup).unwrap();
        assert_eq!(Backup::check(&backup).unwrap(), made);
        check(&small_seals(&backup), "backed up");
        store.settle().unwrap();
        check(&store, "settled");
        store.close().unwrap();
        let store = small_seals(&folder);
        assert_eq!((&store.open_report().rebuilt, store.open_report().mended.as_slice()), (&None, [].as_slice()));
        check(&store, "opened again");
        store.compact().unwrap();
        check(&store, "compacted");
        store.append(built("new", "view", 1)).unwrap();
        assert_eq!(store.erase("new").unwrap().events, 1);
        store.close().unwrap();
        let store = small_seals(&folder);
        check(&store, "opened after it was compacted");
        store.close().unwrap();
        let rebuilt = StoreOptions::new().rebuild_index().open(&folder).unwrap();
        check(&rebuilt, "with its index built again");
    }
}

#[test]
fn a_store_of_a_later_release_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    unpack(8, dir.path());
    fs::write(dir.path().join("JOURNEYLOG"), "{\"journeylog\":9}").unwrap();
    let before = crate::erase::bytes_of(dir.path());
    for refused in [Store::open(dir.path()).map(drop), Backup::check(dir.path()).map(drop)] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::NewerFormat { found: 9, supported: 8, .. }), "{refused}");
    }
    assert!(crate::erase::bytes_of(dir.path()) == before);
}
