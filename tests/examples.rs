//! Each example is run as a program, and what it prints is looked at.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod programs;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use programs::{ask, funnel, kill_import_amid, run};
use tempfile::TempDir;

const SHOP: [&str; 6] = ["--customer", "user", "--touchpoint", "event", "--time", "at"];

/// A folder with a file in it, and the place of a store beside it.
fn folder(name: &str, text: impl AsRef<[u8]>) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    let store = folder.path().join("store");
    (folder, file, store)
}

fn import(store: &Path, file: &Path, options: &[&str]) -> programs::Ran {
    let paths = [store, file].map(|path| path.to_str().unwrap());
    run("import", [&paths[..], options].concat())
}

/// The same, if some lines were bad and the others were stored.
#[track_caller]
fn with_bad_lines(ran: programs::Ran) -> programs::Ran {
    assert_eq!(ran.code, Some(3), "{}\n{}", ran.out, ran.err);
    ran
}

#[test]
fn quickstart_gives_the_tour() {
    let ran = run::<&str>("quickstart", []).well();
    for line in [
        "5291 events stored",
        "| awareness     |       584 | 29.2 % |",
        "| consideration | purchase      | advance |   379 |       379 |  26.8 % | ",
        " |        5.9 d |     8.8 d |",
        "| 4 purchase     |       144 |   7.2 % |",
        "The journey of c-78\n  2026-03-09 21:16  ad_click\n",
        "  now in advocacy, on 2026-03-15 in consideration\n",
    ] {
        assert!(ran.out.contains(line), "{line}\n{}", ran.out);
    }
    assert_eq!(ran.err, "");
}

#[test]
fn custom_analysis_counts_what_came_before_the_first_purchase() {
    let ran = run::<&str>("custom_analysis", []).well();
    // Customers 1, 5 and 9 see two pages and buy 1, 5 and 9 hours after the second: (3 × 24 + 15) / 24 / 3 days.
    // Customers 3, 7 and 11 see four: (3 × 3 × 24 + 21) / 24 / 3 days.
    let expected = "\
Before the first purchase
| touchpoints before | customers | mean days since the first |
|--------------------|-----------|---------------------------|
|                  2 |         3 |                      1.21 |
|                  4 |         3 |                      3.29 |
|      (no purchase) |         6 |                         - |
";
    assert_eq!(ran.out.trim_end(), format!("42 events stored\n\n{}", expected.trim_end()));
}

#[test]
fn import_of_ndjson_keeps_the_bad_lines_and_stores_nothing_twice() {
    let event = |id: u32, customer: &str, touchpoint: &str| {
        format!(
            r#"{{"id":"e-{id}","customer":"{customer}","touchpoint":"{touchpoint}","occurred_at":"2026-03-0{id}T10:00:00Z"}}"#
        )
    };
    let bad = [r#"{"customer":"ann"}"#, r#"{"customer":"ann","touchpoint":"view","occurred_at":"soon"}"#];
    let lines = [&event(1, "ann", "view"), bad[0], &event(2, "ann", "pay"), "", bad[1], &event(1, "ann", "view")];
    let (folder, file, store) = folder("shop.ndjson", lines.join("\n"));
    let first = with_bad_lines(import(&store, &file, &[]));
    assert_eq!(["read", "stored", "duplicates", "bad lines"].map(|word| first.count(word)), [3, 2, 1, 2]);
    assert!(first.err.contains("line 2: missing field `touchpoint`\nline 5: occurred_at: "), "{}", first.err);
    assert!(!first.err.contains("ann"), "{}", first.err);
    assert_eq!(fs::read_to_string(folder.path().join("shop.bad.ndjson")).unwrap(), bad.join("\n") + "\n");

    let again = with_bad_lines(import(&store, &file, &[]));
    assert_eq!(["read", "stored", "duplicates", "bad lines"].map(|word| again.count(word)), [3, 0, 3, 2]);
    assert_eq!(funnel(&store, &["view", "pay"], None, &[]), [1, 1]);
}

#[test]
fn import_says_that_events_without_ids_are_not_safe_to_repeat() {
    let line = r#"{"customer":"ann","touchpoint":"view","occurred_at":"2026-03-01T10:00:00Z"}"#;
    let (_folder, file, store) = folder("shop.jsonl", line);
    assert!(import(&store, &file, &[]).well().out.contains("1 events have no id: running this again"));
    assert_eq!(import(&store, &file, &[]).well().count("stored"), 1);
}

#[test]
fn import_of_csv_keeps_the_bad_lines_so_that_they_can_be_mended() {
    let text = "user,event,at,note\n\
        ann,view,2026-03-01 10:00:00,\"two\nlines\"\n\
        ann,pay,2026-03-01 10:05:00,\n\
        ,pay,2026-03-01 10:05:00,\n\
        bob,view,yesterday,\n\
        bob,view,2026-03-01 10:00:00\n\
        bob,view,2026-03-01 10:00:00,\"open\n\
        bob,view,2026-03-01 10:00:00,\n\
        bob,view,2026-03-01 10:00:00,\n";
    let (folder, file, store) = folder("shop.csv", text);
    let first = with_bad_lines(import(&store, &file, &SHOP));
    let note = "no id is mapped: each line's id is made of the file's name, the line's number and its content, so \
        running the same file again is safe; a renamed, re-sorted or re-exported file is stored again (use --id-from)\n";
    assert!(first.err.starts_with(note), "{}", first.err);
    for reason in [
        "line 5: customer (column user): is empty\n",
        "line 6: occurred_at (column at): is not a time of the format rfc3339\n",
        "line 7: has 3 cells, the header has 4\n",
        "line 8: a quote is not closed",
    ] {
        assert!(first.err.contains(reason), "{reason}{}", first.err);
    }
    assert_eq!(["read", "stored", "duplicates", "bad lines"].map(|word| first.count(word)), [4, 4, 0, 4]);
    let again = with_bad_lines(import(&store, &file, &SHOP));
    assert_eq!(["read", "stored", "duplicates", "bad lines"].map(|word| again.count(word)), [4, 0, 4, 4]);

    let bad = folder.path().join("shop.bad.csv");
    let kept = fs::read_to_string(&bad).unwrap();
    assert!(kept.starts_with("user,event,at,note\n,pay,2026-03-01 10:05:00,\n"), "{kept}");
    let second = folder.path().join("shop.bad.2.csv");
    assert_eq!(fs::read_to_string(&second).unwrap(), kept);
    assert!(again.out.contains("shop.bad.2.csv; all others are in the store)"), "{}", again.out);
    let mended_text = kept.replace("yesterday", "2026-02-28");
    fs::write(&bad, &mended_text).unwrap();
    with_bad_lines(import(&store, &file, &SHOP));
    assert!(folder.path().join("shop.bad.3.csv").exists());
    assert_eq!(fs::read_to_string(&bad).unwrap(), mended_text, "what somebody mended must stay");
    let mended = with_bad_lines(import(&store, &bad, &SHOP));
    assert_eq!(["stored", "bad lines"].map(|word| mended.count(word)), [1, 3]);

    let unsafe_again = with_bad_lines(import(&store, &file, &[&SHOP[..], &["--no-ids"]].concat()));
    assert_eq!(unsafe_again.count("stored"), 4);
}

#[test]
fn import_takes_a_mapping_and_gzip() {
    let mapping = r#"{"customer":"u","touchpoint":{"constant":"order"},"occurred_at":"t","time_format":"unix_s",
        "id":["u","t"],"value":{"amount":"v","currency":{"constant":"EUR"}},"properties":"others","delimiter":"tab"}"#;
    let (folder, map, store) = folder("map.json", mapping);
    let file = folder.path().join("orders.tsv.gz");
    let mut gz = flate2::write::GzEncoder::new(fs::File::create(&file).unwrap(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, b"u\tt\tv\tplan\nann\t1772357400\t19.90\tpro\nbob\t1772357400\t1,5\tpro\n")
        .unwrap();
    gz.finish().unwrap();
    let ran = with_bad_lines(import(&store, &file, &["--mapping", map.to_str().unwrap()]));
    assert_eq!(["stored", "bad lines"].map(|word| ran.count(word)), [1, 1]);
    let plan = r#"{"funnel":{"steps":[{"touchpoint":"order","property":"plan","eq":"pro"}]}}"#;
    assert!(ask(&store, plan, &[]).well().out.contains("|         1 |"));

    // A file that is cut: what could be read is stored, and it is an error.
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 12]).unwrap();
    let cut = import(&store, &file, &["--mapping", map.to_str().unwrap()]);
    assert_eq!(cut.code, Some(1));
    assert!(cut.err.contains("error: reading failed after line") && cut.err.contains("\n  because "), "{}", cut.err);
}

#[test]
fn import_says_what_does_not_fit() {
    let (folder, file, store) = folder("shop.csv", "user,event,at\n");
    let refused = import(&store, &file, &["--customer", "who"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("because customer: there is no column who; the columns are user, event, at"));
    assert!(!store.exists(), "nothing may be made before the mapping is known to fit");
    assert_eq!(import(&store, &folder.path().join("none.csv"), &[]).code, Some(1));
    assert!(import(&store, &folder.path().join("shop.xls"), &[]).err.contains("none of .ndjson"));
}

#[test]
fn import_says_that_another_mapping_changes_nothing() {
    let (_folder, file, store) = folder("shop.csv", "user,event,at,price\nann,pay,2026-03-01,5\n");
    let told = "nothing stored: these lines are in the store already. An event is never changed; to import with \
        another mapping, use a new store\n";
    let first = import(&store, &file, &SHOP).well();
    assert!(!first.out.contains("nothing stored"), "{}", first.out);
    assert_eq!(["events", "customers", "touchpoints"].map(|word| first.count(word)), [1, 1, 1]);
    assert!(first.out.contains("\nlog ") && first.out.contains("\nindex "), "{}", first.out);
    let took_an_instant = first.out.contains("\ntime               0.");
    assert!(!took_an_instant || !first.out.contains("events/s"), "a rate of an instant says nothing: {}", first.out);
    let again = import(&store, &file, &[&SHOP[..], &["--amount", "price", "--currency", "=EUR"]].concat()).well();
    assert!(again.count("stored") == 0 && again.out.ends_with(told), "{}", again.out);
    fs::write(&file, "user,event,at,price\nann,pay,2026-03-01,5\nann,pay,2026-03-02,5\n").unwrap();
    let more = import(&store, &file, &SHOP).well();
    assert!(more.count("stored") == 1 && !more.out.contains("nothing stored"), "{}", more.out);
}

#[test]
fn import_refuses_a_mapping_together_with_options_of_one() {
    let (folder, map, store) = folder("map.json", r#"{"customer":"user","touchpoint":"event","occurred_at":"at"}"#);
    let file = folder.path().join("shop.csv");
    fs::write(&file, "user,event,at\nann,pay,2026-03-01\n").unwrap();
    let mapping = ["--mapping", map.to_str().unwrap()];
    for option in [
        &["--customer", "user"][..],
        &["--touchpoint", "event"],
        &["--time", "at"],
        &["--time-format", "rfc3339"],
        &["--channel", "=web"],
        &["--amount", "at", "--currency", "=EUR"],
        &["--properties", "others"],
        &["--id-from", "user,at"],
        &["--delimiter", ","],
        &["--no-header"],
    ] {
        let refused = import(&store, &file, &[&mapping[..], option].concat());
        assert_eq!(refused.code, Some(2), "{option:?}");
        assert!(refused.err.contains("cannot be used with") && refused.err.contains(option[0]), "{}", refused.err);
    }
    assert!(!store.exists());
    let ran = import(&store, &file, &[&mapping[..], &["--no-ids"]].concat()).well();
    assert!(ran.out.contains("1 events have no id"), "{}", ran.out);
    fs::write(&map, r#"{"customer":"user","touchpoint":"event","occurred_at":"at","id":"line"}"#).unwrap();
    let refused = import(&store, &file, &[&mapping[..], &["--no-ids"]].concat());
    assert!(refused.code == Some(1) && refused.err.contains("maps an id: --no-ids does not"), "{}", refused.err);
}

#[test]
fn import_without_one_good_line_fails_and_makes_no_store() {
    let (folder, file, store) = folder("shop.csv", "user,event,at\nann,pay,soon\nann,pay,later\n");
    let ran = import(&store, &file, &SHOP);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("shop.csv is good: nothing was stored, and no store was made\n"), "{}", ran.err);
    assert_eq!(["read", "bad lines"].map(|word| ran.count(word)), [0, 2]);
    assert!(folder.path().join("shop.bad.csv").exists() && !store.exists());

    let good = folder.path().join("good.csv");
    fs::write(&good, "user,event,at\nann,pay,2026-03-01\n").unwrap();
    import(&store, &good, &SHOP).well();
    let ran = import(&store, &file, &SHOP);
    assert!(ran.code == Some(1) && ran.err.ends_with("shop.csv is good: nothing was stored\n"), "{}", ran.err);
    assert_eq!(ran.count("events"), 1);

    fs::write(&file, "user,event,at\n").unwrap();
    assert_eq!(import(&store, &file, &SHOP).well().count("read"), 0);
}

#[test]
fn import_refuses_a_json_array() {
    let event = r#"{"customer":"ann","touchpoint":"view","occurred_at":"2026-03-01T10:00:00Z"}"#;
    for start in ["[", "\u{feff}[", "  \n\t[\n"] {
        let (folder, file, store) = folder("shop.json", format!("{start}{event},\n{event}\n]\n"));
        let refused = import(&store, &file, &[]);
        assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
        let told = "shop.json: this is a JSON array; NDJSON has one object per line\n";
        assert!(refused.err.ends_with(told), "{}", refused.err);
        assert!(!store.exists() && !folder.path().join("shop.bad.json").exists());
        fs::write(&file, format!("\n{event}\n[]\n")).unwrap();
        let ran = with_bad_lines(import(&store, &file, &[]));
        assert_eq!(["stored", "bad lines"].map(|word| ran.count(word)), [1, 1]);
    }
}

#[test]
fn import_counts_equal_lines() {
    let row = "ann,pay,2026-03-01,1\n";
    let text = format!("user,event,at,note\n{row}ann,pay,2026-03-01,2\n{row}ann,pay,2026-03-02,1\n{row}");
    let (folder, file, store) = folder("shop.csv", text);
    // With batches of one: equal lines need not be in one batch.
    let ran = import(&store, &file, &[&SHOP[..], &["--batch", "1"]].concat()).well();
    assert_eq!(["stored", "equal lines"].map(|word| ran.count(word)), [5, 2]);
    assert!(ran.out.contains(" 2  (stored; --id-from drops them)\n"), "{}", ran.out);
    let other = folder.path().join("other");
    let ran = import(&other, &file, &[&SHOP[..], &["--id-from", "user,at,note"]].concat()).well();
    assert_eq!(["stored", "duplicates"].map(|word| ran.count(word)), [3, 2]);
    assert!(!ran.out.contains("equal lines"), "{}", ran.out);
}

#[test]
fn import_says_what_was_probably_meant() {
    let (_folder, file, store) = folder("shop.txt", "ann pay 2026-03-01 5\n");
    let blanks = ["--delimiter", "blanks", "--no-header", "--customer", "1", "--touchpoint", "2", "--time", "3"];
    let refused = import(&store, &file, &[&blanks[..], &["--amount", "4", "--currency", "USD"]].concat());
    let told =
        "value.currency: there is no header to find column USD in; give its number; for a fixed text write =USD\n";
    assert!(refused.code == Some(1) && refused.err.ends_with(told), "{}", refused.err);
    for (header, delimiter) in [("user;event;at", "';'"), ("user\tevent\tat", "tab"), ("user|event|at", "'|'")] {
        fs::write(&file, header).unwrap();
        let refused = import(&store, &file, &SHOP);
        let told = format!("the columns are {header}; is it --delimiter {delimiter} ?\n");
        assert!(refused.code == Some(1) && refused.err.ends_with(&told), "{}", refused.err);
    }
    for (format, told) in
        [("YYYYMMDD", "a strftime pattern, such as %Y%m%d"), ("%Y%q%d", "cannot be read: it needs a whole date")]
    {
        let refused = import(&store, &file, &["--time-format", format]);
        assert!(refused.code == Some(2) && refused.err.contains(told), "{}", refused.err);
    }
    assert!(!store.exists());
}

/// Rows of a shop, whose customers come back now and then.
fn rows(count: usize) -> String {
    let mut random = fastrand::Rng::with_seed(3);
    let mut text = "user,event,at\n".to_owned();
    for row in 0..count {
        let event = ["view", "view", "cart", "pay"][random.usize(..4)];
        let customer = random.usize(..count / 8);
        writeln!(text, "customer-{customer:06},{event},{}", 1_770_000_000 + row * 60).unwrap();
    }
    text
}

#[test]
fn an_import_killed_half_way_is_run_again() {
    let text = rows(16_000);
    let (folder, file, store) = folder("shop.csv", &text);
    let options = [&SHOP[..], &["--time-format", "unix_s", "--batch", "500"]].concat();
    kill_import_amid(folder.path(), "shop.csv", &text.as_bytes()[..text.len() / 2], &options);
    let again = import(&store, &file, &options).well();
    let [stored, duplicates] = ["stored", "duplicates"].map(|word| again.count(word));
    assert_eq!(stored + duplicates, 16_000);
    assert!(stored > 0 && duplicates >= 500, "{}", again.out);

    let whole = folder.path().join("whole");
    assert_eq!(import(&whole, &file, &options).well().count("stored"), 16_000);
    let steps = ["view", "cart", "pay"];
    let expected = funnel(&whole, &steps, Some("7d"), &[]);
    assert_eq!(funnel(&store, &steps, Some("7d"), &[]), expected);
    assert!(expected.iter().all(|&count| count > 0));
}

#[test]
fn query_prints_tables_and_json() {
    let text = "user,event,at\nann,view,2026-03-01\nann,pay,2026-03-03\nbob,view,2026-03-01\n";
    let (_folder, file, store) = folder("shop.csv", text);
    import(&store, &file, &SHOP).well();
    let plan = r#"{"funnel":{"steps":[{"touchpoint":"view"},{"touchpoint":"pay"}],"window":"7d"}}"#;
    let table = ask(&store, plan, &[]).well().out;
    assert!(table.starts_with("Funnel (ordered, within 7d)\n| step   | customers |  of all |"), "{table}");
    assert!(table.ends_with("observed until 2026-03-03T00:00:00+00:00\n"), "{table}");
    assert!(table.contains("| 2 pay  |         1 |  50.0 % |"), "{table}");
    assert!(!table.contains("ann"), "{table}");
    let listed = ask(&store, plan, &["--customers"]).well().out;
    assert!(listed.contains("| ann      |     2 | converted |"), "{listed}");
    assert!(listed.contains("| bob      |     1 | "), "{listed}");

    let json =
        ask(&store, &format!("[{plan},{{\"stages\":{{}}}}]"), &["--json", "--customers", "--threads", "2"]).well();
    let answers: Vec<serde_json::Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["plan"]["funnel"]["window"], "7d");
    assert_eq!(answers[0]["plan"]["funnel"]["steps"][1]["touchpoint"], "pay");
    assert_eq!(answers[0]["report"]["funnel"]["customers"][0]["customer"], "ann");
    assert_eq!(answers[1]["report"]["stages"]["customers"][1]["customer"], "bob");
}

/// Every kind of question goes through the program, and says what it says in process.
#[test]
fn query_answers_every_kind_of_plan() {
    let (_folder, file, store) = folder("events.ndjson", include_str!("golden/events.ndjson"));
    import(&store, &file, &[]).well();
    let plans = include_str!("golden/plans.json");
    let found = ask(&store, plans, &["--json"]).well().out;
    let found: Vec<serde_json::Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let golden: Vec<serde_json::Value> = serde_json::from_str(include_str!("golden/answers.json")).unwrap();
    assert_eq!(found.len(), golden.len());
    for (found, golden) in found.iter().zip(&golden) {
        assert_eq!(found, golden);
    }
    let printed = ask(&store, plans, &[]).well().out;
    let tables: Vec<&str> = printed.lines().filter(|line| !line.starts_with("observed until ")).collect();
    let golden: Vec<&str> = include_str!("golden/tables.txt").lines().collect();
    let filled =
        |lines: &[&str]| lines.iter().filter(|line| !line.is_empty()).map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(filled(&tables), filled(&golden));
}

#[test]
fn query_asks_of_segments() {
    let text = "user,event,at\nann,cart,2026-03-01\nann,pay,2026-03-03\nbob,cart,2026-03-01\ncat,pay,2026-03-09\n";
    let (_folder, file, store) = folder("shop.csv", text);
    import(&store, &file, &SHOP).well();
    let abandoned = r#"{"did":{"touchpoint":"cart"},"then_not":{"touchpoint":"pay"},"within":"3d"}"#;
    let members = ask(&store, &format!(r#"{{"segment":{{"of":{abandoned}}}}}"#), &["--customers"]).well().out;
    assert!(members.contains("| in it |         1 | 33.3 % |") && members.contains("| bob      |"), "{members}");
    let funnel = r#"{"funnel":{"steps":[{"touchpoint":"cart"},{"touchpoint":"pay"}]}"#;
    let within = ask(&store, &format!(r#"{funnel},"scope":{{"segment":{abandoned}}}}}"#), &[]).well().out;
    assert!(within.contains("| 1 cart |         1 |"), "{within}");
    let by_segment = format!(r#"{funnel},"by_segment":{{"abandoned":{abandoned},"others":{{"others":true}}}}}}"#);
    let table = ask(&store, &by_segment, &[]).well().out;
    assert!(
        table.contains("| others    |         2 | 66.7 % |") && table.contains("others: Funnel (ordered"),
        "{table}"
    );
    let json: serde_json::Value = serde_json::from_str(&ask(&store, &by_segment, &["--json"]).well().out).unwrap();
    assert_eq!(json["report"]["by_segment"]["groups"][0]["report"]["funnel"]["entered"], 1);
    assert_eq!(json["plan"]["by_segment"]["others"]["others"], true);
    let refused = ask(&store, r#"{"stages":{},"scope":{"segment":"loyal"}}"#, &[]);
    assert!(refused.err.contains("no segment is stored under the name loyal"), "{}", refused.err);
}

#[test]
fn query_refuses_a_bad_plan_and_says_where() {
    let (folder, plan, store) = folder("plan.json", r#"[{"stages":{}},{"funnel":{"steps":[{"touchpiont":"view"}]}}]"#);
    let ran = run("query", [&store, &plan]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("plan.json: [1].funnel.steps[0]: touchpiont: is an unknown key"), "{}", ran.err);
    fs::write(&plan, r#"{"stages":{}}"#).unwrap();
    let ran = run("query", [&store, &plan]);
    assert!(ran.code == Some(1) && ran.err.contains("is not a journeylog store"), "{}", ran.err);
    assert!(!store.exists());
    assert_eq!(run("query", [&store, &folder.path().join("none.json")]).code, Some(1));
}

#[test]
fn doctor_finds_damage_and_salvages_what_is_left() {
    let lines: String = (0..400).fold(String::new(), |mut lines, i| {
        let second = i % 60;
        writeln!(
            lines,
            r#"{{"customer":"c{}","touchpoint":"view","occurred_at":"2026-03-01T09:30:{second:02}Z"}}"#,
            i % 9
        )
        .unwrap();
        lines
    });
    let (folder, file, store) = folder("events.ndjson", lines);
    import(&store, &file, &[]).well();
    let store_path = store.to_str().unwrap();
    let doctor = |more: &[&str]| run("doctor", [&[store_path], more].concat());
    assert!(
        doctor(&["--quick"]).well().out.contains("a log up to sequence 400 and no segment of the index yet: sound")
    );
    assert!(
        doctor(&[]).well().out.contains("blocks of a log up to sequence 400 and no segment of the index yet: sound")
    );

    // Each block of the log begins with these letters.
    let db = store.join("log/db");
    let mut bytes = fs::read(&db).unwrap();
    let blocks: Vec<usize> = (0..bytes.len() - 4).filter(|at| &bytes[*at..at + 4] == b"JLBK").collect();
    blocks.iter().for_each(|at| bytes[at + 100] ^= 1);
    fs::write(&db, bytes).unwrap();
    let ran = doctor(&[]);
    assert!(ran.code == Some(1), "{}", ran.out);
    assert!(ran.err.contains("restore a backup, or run this again with --salvage NEW"), "{}", ran.err);
    let new = folder.path().join("new");
    let ran = run("doctor", [store_path, "--salvage", new.to_str().unwrap()]);
    assert!(
        ran.code == Some(1)
            && ran.out.contains("0 events salvaged, up to sequence 400\n  400 missing: sequences 1-400"),
        "{}",
        ran.out
    );
    // What has nothing wrong is salvaged whole.
    let again = folder.path().join("again");
    let ran = run("doctor", [new.to_str().unwrap(), "--salvage", again.to_str().unwrap()]).well();
    assert!(ran.out.contains("0 events salvaged, up to sequence 400"), "{}", ran.out);
}

#[test]
fn shop_report_is_one_page() {
    let events = r#"
{"customer":"ann","touchpoint":"product_view","channel":"search","occurred_at":"2026-01-01T10:00:00Z"}
{"customer":"ann","touchpoint":"add_to_cart","occurred_at":"2026-01-01T10:10:00Z"}
{"customer":"ann","touchpoint":"purchase","occurred_at":"2026-01-02T10:00:00Z","value":{"amount":"20.00","currency":"EUR"}}
{"customer":"ann","touchpoint":"survey","occurred_at":"2026-01-03T10:00:00Z","feedback":{"nps":9}}
{"customer":"bob","touchpoint":"product_view","occurred_at":"2026-03-20T10:00:00Z"}
{"customer":"bob","touchpoint":"add_to_cart","occurred_at":"2026-03-20T10:30:00Z"}
{"customer":"cat","touchpoint":"product_view","occurred_at":"2026-03-25T10:00:00Z"}
{"customer":"cat","touchpoint":"survey","occurred_at":"2026-03-25T10:00:00Z","feedback":{"nps":3}}
{"customer":"dan","touchpoint":"home","occurred_at":"2026-03-31T10:00:00Z"}
"#;
    let (_folder, file, store) = folder("shop.ndjson", events.trim_start());
    import(&store, &file, &[]).well();
    let store = store.to_str().unwrap();
    let page = run("shop_report", [store, "--currency", "EUR", "--list"]).well().out;
    for line in [
        "store on one page: 4 customers in a stage, 9 events, up to 2026-03-31\n",
        "| consideration |         2 | 50.0 % |\n",
        "| product_view |         3 |      100.0 % |           100.0 % |         0 s |               1 |\n",
        "| purchase     |         1 |       33.3 % |            50.0 % |       1.0 d |               0 |\n",
        "\n1 purchases, shared among the channels of the 30 days before\n",
        "| NPS    | all                  |       2 | 0.0    |",
        "| NPS    | purchase             |       1 | 100.0  |",
        "\n1 customers bought, 0 of them on several days, on 1 days in all.\nThey spent 20 EUR.\n",
        "\n1 of 2 times something was put in the cart nothing was bought within 3 days (50.0 %).\n",
        "\nOf 1 customers of a month 0 came in the next, and 1 did not (100.0 %).\n",
        "\nNothing that could not be chance.\n",
        "\nleft a cart in the last 30 days, nothing bought since: remind them:\nbob\n",
        "\nbought before, not seen for 60 days: win them back:\nann\n",
        "\nunhappy by their last answer: call them:\ncat\n",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    let empty = run("shop_report", [store, "--steps", "none,nothing", "--cart", "none"]).well().out;
    assert!(empty.contains("No purchases yet.") && empty.contains("told with --currency"), "{empty}");
    let refused = run("shop_report", ["nowhere.journey"]);
    assert!(refused.code == Some(1) && refused.err.starts_with("error: "), "{}", refused.err);
}

#[test]
fn query_prints_what_customers_wrote() {
    let events = r#"{"customer":"ann","touchpoint":"survey","occurred_at":"2026-01-03T10:00:00Z","feedback":{"nps":3,"comment":"so slow"}}
{"customer":"bob","touchpoint":"survey","occurred_at":"2026-01-04T10:00:00Z","feedback":{"nps":9}}
"#;
    let (_folder, file, store) = folder("answers.ndjson", events);
    import(&store, &file, &[]).well();
    let plan = r#"{"experience":{}}"#;
    let said = ask(&store, plan, &["--comments"]).well().out;
    assert!(said.ends_with("\nann, nps 3: so slow\n"), "{said}");
    assert!(!ask(&store, plan, &["--customers"]).well().out.contains("so slow"));
}
