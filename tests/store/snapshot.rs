//! A snapshot is what the store held at one moment, and nothing later changes it.

use chrono::TimeDelta;
use journeylog::{Event, Experience, Feedback, Funnel, JourneyModel, Seq, StageCounts};

use crate::{built, small_seals};

#[test]
fn appends_seals_and_merges_do_not_show() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    // Whose window is open is judged by the last event there was.
    let funnel = Funnel::ordered(["view", "pay"]).within(TimeDelta::minutes(5)).list_customers().build().unwrap();
    let counts = StageCounts::of(JourneyModel::standard());
    let mut taken = Vec::new();
    for i in 0..900 {
        let touchpoint = if i % 3 == 2 { "pay" } else { "view" };
        // Late events and new ones, over and over the same customers.
        let second = if i % 2 == 0 { 10_000 - i } else { 10_000 + i };
        store.append_batch([built(i % 37, touchpoint, second)]).unwrap();
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

/// One customer's own questions numbered the events anew, so that `known_at` saw others than it was asked for.
#[test]
fn one_customers_questions_have_the_sequences_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    for i in 0..10 {
        store.append(built("other", "ad_click", i)).unwrap();
    }
    store.append(built("ann", "product_view", 100)).unwrap();
    store.append(built("ann", "purchase", 101)).unwrap();
    store.append(built("other", "ad_click", 9_000_000)).unwrap();
    let ann = store.customer("ann").unwrap().unwrap();
    let funnel =
        Funnel::ordered(["product_view", "purchase"]).within(TimeDelta::days(7)).list_customers().build().unwrap();
    let known = |seq| ann.query().known_at(Seq(seq)).run(&funnel).unwrap();
    assert_eq!([known(2).entered, known(11).entered, known(11).converted, known(12).converted], [0, 1, 0, 1]);
    let served: Vec<Seq> = known(12).customers.unwrap()[0].events.iter().map(|event| event.seq).collect();
    assert_eq!(served, [Seq(11), Seq(12)]);
    // Observation ends with the other's last event, as it does when the store is asked.
    let of_store = store.query().customers([ann.id().clone()]).run(&funnel).unwrap();
    assert_eq!(ann.query().run(&funnel).unwrap(), of_store);
}

/// What the customers behind a score wrote.
#[test]
fn events_are_read_by_their_places_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_seals(dir.path());
    let answer = |who: &str, score: u8, second: i64| {
        let feedback = Feedback::nps(score).unwrap().with_comment(format!("{who} says {score}")).unwrap();
        Event::at(chrono::DateTime::UNIX_EPOCH + TimeDelta::seconds(second), who, "survey").feedback(feedback)
    };
    for i in 0..40_u8 {
        let who = ["ann", "bob", "cid"][usize::from(i % 3)];
        store.append_batch([answer(who, i % 11, 1_000 - i64::from(i)).build().unwrap()]).unwrap();
    }
    store.append(journeylog::Link::at(chrono::DateTime::UNIX_EPOCH, "dan", "bob").unwrap()).unwrap();
    let snapshot = store.snapshot();
    store.append(answer("ann", 0, 5)).unwrap();

    let report = snapshot.query().run(&Experience::builder().list_customers().build().unwrap()).unwrap();
    let listed = report.listed.unwrap();
    let of = |who: &str| listed.iter().filter(|one| one.customer.as_str() == who && one.feedback.score() <= 6).count();
    let detractors = || listed.iter().filter(|one| one.feedback.score() <= 6).map(|one| one.seq);
    let comments = |seqs: Vec<Seq>| -> Vec<(String, u64)> {
        let events = snapshot.events_at(seqs).unwrap();
        let said = |feedback: &Feedback| feedback.comment().unwrap().to_owned();
        events.iter().map(|logged| (said(logged.event.feedback().unwrap()), logged.seq.get())).collect()
    };
    let mut right: Vec<(String, u64)> = (0..40_u64)
        .filter(|i| i % 11 <= 6)
        .map(|i| (format!("{} says {}", ["ann", "bob", "cid"][i as usize % 3], i % 11), i + 1))
        .collect();
    assert_eq!(comments(detractors().collect()), right);
    assert_eq!(comments(detractors().chain(detractors()).collect()), right, "each once");
    // The link is no event, the next sequence came later, and the others never.
    assert_eq!(comments([0, 1, 41, 42, 43, u64::MAX].map(Seq).to_vec()), [("ann says 0".to_owned(), 1)]);

    assert!(of("cid") > 0);
    store.erase("cid").unwrap();
    right.retain(|(comment, _)| !comment.starts_with("cid"));
    assert_eq!(comments(detractors().collect()), right, "before the compaction");
    store.compact().unwrap();
    assert_eq!(comments(detractors().collect()), right, "and after it");
}
