//! The pages of questions show what is printed: each plan in them is asked of the log that the page names.

use std::{fs, path::Path};

use journeylog::{Plan, Question, Segment, Store, StoreOptions, import::NdjsonReader};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn filled(log: &str) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreOptions::new().open(dir.path()).unwrap();
    let events = NdjsonReader::new(read(log).as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
    store.append_batch(events).unwrap();
    (dir, store)
}

/// What a page should be: after each block of a plan there is one of what is printed. A block with a name is a segment that the store keeps
/// under it. Also the plans.
fn as_it_is_now(page: &str) -> (String, Vec<Question>) {
    let log = page.split('`').find(|quoted| quoted.ends_with(".ndjson")).unwrap();
    let (_dir, store) = filled(log);
    let (mut now, mut asked) = (String::new(), Vec::new());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        now.push_str(line);
        now.push('\n');
        let Some(info) = line.strip_prefix("```json") else { continue };
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let text = text.join("\n");
        now.push_str(&text);
        now.push_str("\n```\n");
        if let Some(name) = info.strip_prefix(" name=") {
            let segment: Segment = serde_json::from_str(&text).unwrap();
            store.define_segment(name.trim_matches('"'), &segment).unwrap();
            continue;
        }
        let questions = Question::read(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let answers = store.query().ask(&questions).unwrap_or_else(|e| panic!("{text}: {e}"));
        now.push_str("\n```text\n");
        now.push_str(answers[0].to_string().trim_end());
        now.push_str("\n```\n");
        asked.extend(questions);
        // What the page says was printed.
        if lines.next_if_eq(&"").is_some() && lines.next_if_eq(&"```text").is_some() {
            lines.by_ref().find(|line| *line == "```");
        } else {
            now.push('\n');
        }
    }
    (now, asked)
}

fn shows_what_is_printed(path: &str) -> Vec<Question> {
    let page = read(path);
    let (now, asked) = as_it_is_now(&page);
    assert!(page.trim_end() == now.trim_end(), "{path} is not what is printed; the page is now\n{now}");
    asked
}

#[test]
fn the_page_of_questions_shows_what_is_printed() {
    let asked = shows_what_is_printed("docs/questions.md");
    let kinds: Vec<_> = asked.iter().map(|question| std::mem::discriminant(&question.plan)).collect();
    // Every kind of question has a section.
    let golden = Question::read(include_str!("../golden/plans.json")).unwrap();
    for Question { plan, .. } in &golden {
        let is_shown = kinds.contains(&std::mem::discriminant::<Plan>(plan));
        assert!(is_shown, "docs/questions.md has no section on {plan:?}");
    }
}

#[test]
fn the_pages_of_options_show_what_is_printed() {
    for page in ["docs/funnels.md", "docs/moves.md", "docs/scopes.md"] {
        shows_what_is_printed(page);
    }
}
