//! `docs/questions.md` shows what is printed: each plan in it is asked of the golden shop.

use std::{fmt::Write, fs, path::Path};

use journeylog::{Journeys, Plan, Question, import::NdjsonReader};

#[test]
fn the_page_of_questions_shows_what_is_printed() {
    let events =
        NdjsonReader::new(&include_bytes!("../golden/events.ndjson")[..]).collect::<Result<Vec<_>, _>>().unwrap();
    let journeys = Journeys::of(events).unwrap();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/questions.md")).unwrap();
    let mut now = String::new();
    let mut kinds = Vec::new();
    for (place, section) in page.split("\n## ").enumerate() {
        if place == 0 {
            now.push_str(section);
            continue;
        }
        let (before, plan) = section.split_once("```json\n").unwrap();
        let (plan, _) = plan.split_once("\n```").unwrap();
        let questions = Question::read(plan).unwrap_or_else(|e| panic!("{before}: {e}"));
        kinds.push(std::mem::discriminant(&questions[0].plan));
        let answers = journeys.query().ask(&questions).unwrap();
        write!(now, "\n## {before}```json\n{plan}\n```\n\n```text\n{}\n```\n", answers[0].to_string().trim_end())
            .unwrap();
    }
    assert_eq!(page.trim_end(), now.trim_end(), "the page is now\n{now}");
    // Every kind of question has a section.
    let golden = Question::read(include_str!("../golden/plans.json")).unwrap();
    for Question { plan, .. } in &golden {
        let is_shown = kinds.contains(&std::mem::discriminant::<Plan>(plan));
        assert!(is_shown, "docs/questions.md has no section on {plan:?}");
    }
}
