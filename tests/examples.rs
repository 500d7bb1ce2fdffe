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

#[test]
fn quickstart_gives_the_tour() {
    let ran = run::<&str>("quickstart", []).well();
    for line in [
        "5291 events stored",
        "| awareness     |       584 | 29.2 % |",
        "| consideration | purchase      | advance |   379 |       379 |  26.8 % |        5.9 d |     8.8 d |",
        "| 4 purchase     |       144 |      7.2 % |",
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
    let first = import(&store, &file, &[]).well();
    assert_eq!(["read", "stored", "duplicates", "bad lines"].map(|word| first.count(word)), [3, 2, 1, 2]);
    assert!(first.err.contains("line 2: missing field `touchpoint`\nline 5: occurred_at: "), "{}", first.err);
    assert!(!first.err.contains("ann"), "{}", first.err);
    assert_eq!(fs::read_to_string(folder.path().join("shop.bad.ndjson")).unwrap(), bad.join("\n") + "\n");

    let again = import(&store, &file, &[]).well();
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
    let first = import(&store, &file, &SHOP).well();
    assert!(first.err.contains("running this again is safe"), "{}", first.err);
    for reason in [
        "line 5: customer (column user): is empty\n",
        "line 6: occurred_at (column at): is not a time of the format rfc3339\n",
        "line 7: has 3 cells, the header has 4\n",
        "line 8: a quote is not closed",
    ] {
        assert!(first.err.contains(reason), "{reason}{}", first.err);
    }
    assert_eq!(["read", "stored", "duplicates", "bad lines"].map(|word| first.count(word)), [4, 4, 0, 4]);
    let again = import(&store, &file, &SHOP).well();
    assert_eq!(["read", "stored", "duplicates", "bad lines"].map(|word| again.count(word)), [4, 0, 4, 4]);

    let bad = folder.path().join("shop.bad.csv");
    let kept = fs::read_to_string(&bad).unwrap();
    assert!(kept.starts_with("user,event,at,note\n,pay,2026-03-01 10:05:00,\n"), "{kept}");
    fs::write(&bad, kept.replace("yesterday", "2026-02-28")).unwrap();
    let mended = import(&store, &bad, &SHOP).well();
    assert_eq!(["stored", "bad lines"].map(|word| mended.count(word)), [1, 3]);

    let unsafe_again = import(&store, &file, &[&SHOP[..], &["--no-ids"]].concat()).well();
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
    let ran = import(&store, &file, &["--mapping", map.to_str().unwrap()]).well();
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
    assert!(table.starts_with("Funnel\n| step   | customers | of entered |"), "{table}");
    assert!(table.contains("| 2 pay  |         1 |     50.0 % |"), "{table}");
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
