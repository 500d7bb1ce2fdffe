//! A snapshot is what the store held at one moment, and nothing later changes it.

use journeylog::{Funnel, JourneyModel, Seq, StageCounts};

use crate::{built, small_seals};

#[test]
fn appends_seals_and_merges_do_not_show() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    let funnel = Funnel::ordered(["view", "pay"]).list_customers().build().unwrap();
    let counts = StageCounts::of(JourneyModel::standard());
    let mut taken = Vec::new();
    for i in 0..900 {
        let touchpoint = if i % 3 == 2 { "pay" } else { "view" };
        // Late events, over and over the same customers.
        store.append_batch([built(i % 37, touchpoint, 10_000 - i)]).unwrap();
        if i % 83 == 0 {
            let snapshot = store.snapshot();
            let report = snapshot.query().run((&funnel, &counts)).unwrap();
            taken.push((snapshot, report, i));
        }
    }
    for (snapshot, report, i) in &taken {
        assert_eq!(snapshot.head(), Seq(*i as u64 + 1));
        assert_eq!(&snapshot.query().run((&funnel, &counts)).unwrap(), report);
    }
    // And after the store is closed: the files it reads stay as long as it does.
    store.close().unwrap();
    let (snapshot, report, _) = &taken[9];
    assert_eq!(&snapshot.query().run((&funnel, &counts)).unwrap(), report);
}
