//! Reports on a world small enough to be checked by eye: JSON and tables are those in `tests/golden`, to the letter.

use journeylog::{Journeys, Question, import::NdjsonReader};

#[test]
fn reports_are_what_they_were() {
    let events =
        NdjsonReader::new(&include_bytes!("../golden/events.ndjson")[..]).collect::<Result<Vec<_>, _>>().unwrap();
    let plans = Question::read(include_str!("../golden/plans.json")).unwrap();
    let answers = Journeys::of(events).unwrap().query().ask(&plans).unwrap();
    let json = serde_json::to_string_pretty(&answers).unwrap();
    let tables = answers.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(tables.trim(), include_str!("../golden/tables.txt").trim(), "the tables are now\n{tables}");
    assert_eq!(json.trim(), include_str!("../golden/answers.json").trim(), "the answers are now\n{json}");
}
