//! The drawing of the house, compared with the code: arrows only point down.
#![allow(clippy::unwrap_used, clippy::panic, clippy::items_after_statements, reason = "a test stops at once")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each room and the rooms it may see; the same drawing stands in `docs/design.md`.
const DRAWING: [(&str, &[&str]); 12] = [
    ("error", &[]),
    ("model", &["error"]),
    ("codec", &["error", "model", "journey"]),
    ("journey", &["error", "model"]),
    ("table", &["error"]),
    ("analysis", &["error", "model", "journey", "table"]),
    ("store", &["error", "model", "journey", "codec"]),
    ("query", &["error", "model", "journey", "table", "analysis", "store"]),
    ("import", &["error", "model"]),
    ("export", &["error", "store"]),
    ("testing", &["error", "model", "journey", "table", "analysis", "query"]),
    ("fuzzing", &["codec", "store", "import", "export", "testing"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with its room and its text without comments and tests.
fn rooms() -> Vec<(PathBuf, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut rooms = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&src).unwrap().to_owned();
        let room = inside.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let code: String =
            code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        rooms.push((inside, room, code));
    }
    rooms
}

/// The rooms that a text names after `crate::`, one by one or in braces.
fn seen(code: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let Some(list) = after.strip_prefix('{') else {
            seen.extend(word(after));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && depth == 0 && (c.is_alphabetic() || c == '_') => {
                    seen.extend(word(&list[i..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    seen
}

/// A room's name; types re-exported at the root begin with a capital and are no room.
fn word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    word.starts_with(char::is_lowercase).then_some(word)
}

#[test]
fn arrows_only_point_down() {
    let drawing: BTreeMap<&str, &[&str]> = DRAWING.into_iter().collect();
    let mut wrong = Vec::new();
    for (file, room, code) in rooms().into_iter().filter(|(_, room, _)| room != "lib") {
        let allowed = drawing.get(room.as_str()).unwrap_or_else(|| panic!("{room} is not in the drawing"));
        for other in seen(&code).into_iter().filter(|other| *other != room) {
            if !allowed.contains(&other.as_str()) {
                wrong.push(format!("{} sees {other}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_drawing_has_no_circle() {
    let drawing: BTreeMap<&str, &[&str]> = DRAWING.into_iter().collect();
    fn walk<'a>(room: &'a str, path: &mut Vec<&'a str>, drawing: &BTreeMap<&'a str, &'a [&'a str]>) {
        assert!(!path.contains(&room), "{path:?} {room}");
        path.push(room);
        drawing[room].iter().for_each(|below| walk(below, path, drawing));
        path.pop();
    }
    drawing.keys().for_each(|room| walk(room, &mut Vec::new(), &drawing));
}

#[test]
fn one_file_names_the_engine() {
    // sled's paths, and not those of a module whose name ends so.
    let is_path = |code: &str, at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let names_it = |code: &str| code.match_indices("sled::").any(|(at, _)| is_path(code, at));
    let named: Vec<_> = rooms().into_iter().filter(|(_, _, code)| names_it(code)).map(|(file, ..)| file).collect();
    assert_eq!(named, [Path::new("store/sled_engine.rs")]);
}

#[test]
fn the_pure_half_sees_no_files_no_clock_and_no_threads_but_its_own() {
    for (file, room, code) in rooms() {
        if ["model", "journey", "analysis", "table", "codec"].contains(&room.as_str()) {
            for forbidden in ["std::fs", "std::net", "SystemTime", "Utc::now", "Instant::now"] {
                assert!(!code.contains(forbidden), "{} names {forbidden}", file.display());
            }
        }
    }
}

#[test]
fn files_stay_small() {
    for (file, _, code) in rooms() {
        assert!(code.lines().count() <= 600, "{} has {} lines", file.display(), code.lines().count());
    }
}
