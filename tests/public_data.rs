//! Public data with answers that others worked out, through the `import` and `query` examples.
//!
//! The data stands in the folder that the environment variable `JOURNEYLOG_DATA` names, and `JOURNEYLOG_PYTHON` names a Python that
//! has what `tests/requirements.txt` lists. The test is not part of plain `cargo test`: run
//! `cargo build --examples && cargo test --test public_data`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::float_cmp, missing_docs)]

mod programs;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use programs::{Ran, ask, funnel, kill_import_amid, run};
use serde_json::Value;

const SHOP: [&str; 6] = ["--customer", "user_id", "--touchpoint", "event", "--time", "timestamp"];

/// A file of the public data. That it is missing is a failure: a test that skips itself tests nothing.
fn data(file: &str) -> PathBuf {
    let Some(folder) = env::var_os("JOURNEYLOG_DATA") else {
        panic!("JOURNEYLOG_DATA is not set: it names the folder of the public data");
    };
    let path = Path::new(&folder).join(file);
    assert!(path.is_file(), "{} is not there: JOURNEYLOG_DATA must name the folder of the public data", path.display());
    path
}

fn import(store: &Path, file: &Path, options: &[&str]) -> Ran {
    let paths = [store, file].map(|path| path.to_str().unwrap());
    run("import", [&paths[..], options].concat()).well()
}

/// The funnels of `EXPECTED-public.json`, on one thread and on two.
#[track_caller]
fn check_funnels(store: &Path) {
    let buying = ["catalog", "cart", "delivery_choice", "payment_choice", "payment_done"];
    for threads in ["1", "2"] {
        let reached = |steps: &[&str], window| funnel(store, steps, window, &["--threads", threads]);
        assert_eq!(reached(&buying, None), [3611, 1924, 1356, 958, 653]);
        assert_eq!(reached(&buying, Some("60s")), [3611, 1845, 1270, 865, 585]);
        assert_eq!(reached(&["main", "catalog", "cart", "payment_done"], None), [2385, 2015, 1109, 396]);
    }
}

#[test]
fn funnels_of_the_simple_shop() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let ran = import(&store, &data("simple_shop.csv.gz"), &SHOP);
    assert_eq!(["read", "stored", "duplicates", "bad lines"].map(|word| ran.count(word)), [32_283, 32_283, 0, 0]);
    check_funnels(&store);
    // The index is derived: without it the same answers come from the log.
    fs::remove_dir_all(store.join("index")).unwrap();
    check_funnels(&store);
}

/// What `tests/window_funnel.py` wrote down.
#[test]
fn funnels_of_the_simple_shop_as_window_funnel_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    import(&store, &data("simple_shop.csv.gz"), &SHOP);
    let peer: Value = serde_json::from_str(include_str!("golden/window_funnel.json")).unwrap();
    let steps = ["catalog", "cart", "delivery_choice", "payment_choice", "payment_done"];
    let steps = steps.map(|step| serde_json::json!({ "touchpoint": step }));
    let windows = peer["shop"].as_object().unwrap();
    assert_eq!(windows.len(), 3);
    for (seconds, expected) in windows {
        let plan =
            serde_json::json!({"funnel": {"preset": "clickhouse", "steps": steps, "window": format!("{seconds}s")}});
        let found = report(&store, &plan.to_string());
        let found: Value = list(&found, "steps").iter().map(|step| step["customers"].clone()).collect();
        assert_eq!(found, *expected, "{seconds}");
    }
}

#[test]
fn funnels_of_the_simple_shop_after_a_kill_half_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let file = data("simple_shop.csv.gz");
    let bytes = fs::read(&file).unwrap();
    let options = [&SHOP[..], &["--batch", "1000"]].concat();
    kill_import_amid(folder.path(), "simple_shop.csv.gz", &bytes[..bytes.len() * 3 / 4], &options);
    let ran = import(&store, &file, &options);
    let [stored, duplicates] = ["stored", "duplicates"].map(|word| ran.count(word));
    assert_eq!(stored + duplicates, 32_283);
    assert!(stored > 0 && duplicates >= 1000, "{}", ran.out);
    check_funnels(&store);
}

#[test]
fn equal_rows_are_said_to_be_duplicates_if_all_columns_are_the_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let file = data("rete_ecom.csv.gz");
    let columns = "user_id,session_id,event,timestamp,platform,acquisition_channel,user_cohort,user_lifecycle";
    let options = [&SHOP[..], &["--properties", "others", "--id-from", columns]].concat();
    let ran = import(&store, &file, &options);
    assert_eq!(["read", "stored", "duplicates"].map(|word| ran.count(word)), [31_106, 31_076, 30]);
    // By line, equal rows are events of their own.
    let ran = import(&folder.path().join("by-line"), &file, &SHOP);
    assert_eq!(["read", "stored", "duplicates"].map(|word| ran.count(word)), [31_106, 31_106, 0]);
}

/// The numbers are counted in the file by other means.
#[test]
fn a_page_on_the_ecom_shop() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let file = data("rete_ecom.csv.gz");
    let columns = "user_id,session_id,event,timestamp,platform,acquisition_channel,user_cohort,user_lifecycle";
    let options = [&SHOP[..], &["--channel", "acquisition_channel", "--id-from", columns]].concat();
    import(&store, &file, &options);
    let steps = "product_view,cart,shipping_details,payment_details,purchase";
    let page = run("shop_report", [store.to_str().unwrap(), "--steps", steps]).well().out;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shop_report.py");
    let script: Ran = Command::new("python3").arg(script).arg(&file).output().unwrap().into();
    let lines = script.well().out;
    assert!(lines.lines().count() > 10, "the script found too little to compare: {lines}");
    let without_padding = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in lines.lines() {
        assert!(without_padding.contains(line), "{line}\n{page}");
    }
}

#[test]
fn transitions_of_the_simple_shop_against_a_script() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let file = data("simple_shop.csv.gz");
    import(&store, &file, &SHOP);
    let plan = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/shop_model.json")).unwrap();
    let one = ask(&store, &plan, &["--json", "--threads", "1"]).well().out;
    assert_eq!(ask(&store, &plan, &["--json", "--threads", "2"]).well().out, one);
    let answer: Value = serde_json::from_str(&one).unwrap();
    let report = &answer["report"]["transitions"];

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transitions.py");
    let script: Ran = Command::new("python3").arg(script).arg(&file).output().unwrap().into();
    let expected: Value = serde_json::from_str(&script.well().out).unwrap();

    let mut found = BTreeMap::new();
    for cell in report["cells"].as_array().unwrap() {
        let key = format!("{}>{}", cell["from"].as_str().unwrap_or("start"), cell["to"].as_str().unwrap());
        let counts = [cell["count"].as_u64().unwrap(), cell["customers"].as_u64().unwrap()];
        if counts != [0, 0] {
            found.insert(key, counts);
        }
    }
    let moves: BTreeMap<String, [u64; 2]> = serde_json::from_value(expected["moves"].clone()).unwrap();
    assert!(moves.len() >= 7, "the script found too little to compare: {moves:?}");
    assert_eq!(found, moves);

    assert_eq!(report["customers"], 3751);
    assert_eq!(report["entries"], 3751);
    for stage in report["stages"].as_array().unwrap() {
        let count = |key: &str| stage[key].as_u64().unwrap();
        assert_eq!(count("here_before") + count("arrivals"), count("departures") + count("here_now"), "{stage}");
        assert_eq!(count("here_now"), expected["now"][stage["stage"].as_str().unwrap()].as_u64().unwrap(), "{stage}");
    }
}

/// What `EXPECTED-public.json` says of a file.
fn expected(file: &str) -> Value {
    let text = fs::read_to_string(data("EXPECTED-public.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[file].clone()
}

/// The report of a plan, the same on one thread and on two.
fn report(store: &Path, plan: &str) -> Value {
    let one = ask(store, plan, &["--json", "--threads", "1"]).well().out;
    assert_eq!(ask(store, plan, &["--json", "--threads", "2"]).well().out, one);
    let answer: Value = serde_json::from_str(&one).unwrap();
    answer["report"].as_object().unwrap().values().next().unwrap().clone()
}

#[test]
fn sessions_of_the_simple_shop() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    import(&store, &data("simple_shop.csv.gz"), &SHOP);
    let found = report(&store, r#"{"sessions":{"gap":"30m","limit":3}}"#);
    let expected = expected("simple_shop")["sessions (gap > 30 min)"].clone();
    assert_eq!((&found["sessions"], &expected["sessions"]), (&6_454.into(), &6_454.into()));
    assert_eq!((&found["customers"], &expected["users"]), (&3_751.into(), &3_751.into()));
    assert_eq!((&found["events"], &found["events_per_session"]), (&32_283.into(), &expected["mean_events"]));
    for end in ["first", "last"] {
        let top = found[end]["top"].as_array().unwrap().iter().map(|one| &one["sessions"]);
        let all: u64 = top.chain([&found[end]["other"]]).map(|sessions| sessions["some"].as_u64().unwrap()).sum();
        assert_eq!(all, 6_454, "{end}");
    }
    // Each has a path, which begins where it does.
    let paths = report(&store, r#"{"paths":{"gap":"30m","nodes":3}}"#);
    assert_eq!((&paths["paths"], &paths["customers"]), (&6_454.into(), &3_751.into()));
    let begin =
        found["first"]["top"].as_array().unwrap().iter().zip(paths["positions"][0]["nodes"].as_array().unwrap());
    for (touchpoint, node) in begin {
        assert_eq!((&touchpoint["touchpoint"], &touchpoint["sessions"]["some"]), (&node["label"], &node["paths"]));
    }
}

#[test]
fn monthly_retention_of_the_simple_shop() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    import(&store, &data("simple_shop.csv.gz"), &SHOP);
    let plan =
        r#"{"retention":{"start":{"all":[]},"return":{"all":[]},"period":"month","periods":5,"cohorts":"first_ever"}}"#;
    let found = report(&store, plan);
    let expected = expected("simple_shop")["monthly retention, exact calendar month"].clone();
    assert_eq!(expected["2019-11-01"], serde_json::json!({"0": 259, "1": 102, "2": 85, "3": 65, "4": 64}));
    let cohorts = found["cohorts"].as_array().unwrap();
    assert_eq!(cohorts.len(), expected.as_object().unwrap().len());
    for cohort in cohorts {
        let expected = expected[&cohort["period"].as_str().unwrap()[..10]].as_object().unwrap();
        // What is expected leaves out months in which nobody came back.
        let cells = cohort["cells"].as_array().unwrap().iter().enumerate();
        let found: serde_json::Map<_, _> = cells
            .filter(|(_, cell)| cell["customers"] != 0)
            .map(|(column, cell)| (column.to_string(), cell["customers"].clone()))
            .collect();
        assert_eq!(found, *expected, "{cohort}");
    }
}

/// A store of the sample's raw rows.
fn cdnow(folder: &Path) -> PathBuf {
    let purchase = |line: &str| {
        let [_, customer, date, _, dollars] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
        let date = format!("{}-{}-{}T00:00:00Z", &date[..4], &date[4..6], &date[6..]);
        let value = serde_json::json!({"amount": dollars, "currency": "USD"});
        let event =
            serde_json::json!({"customer": customer, "touchpoint": "purchase", "occurred_at": date, "value": value});
        format!("{event}\n")
    };
    let lines: String = fs::read_to_string(data("CDNOW_sample.txt")).unwrap().lines().map(purchase).collect();
    let file = folder.join("cdnow.ndjson");
    fs::write(&file, lines).unwrap();
    let store = folder.join("store");
    let ran = import(&store, &file, &[]);
    assert_eq!(["read", "stored", "duplicates", "bad lines"].map(|word| ran.count(word)), [6_919, 6_919, 0, 0]);
    store
}

/// The estimates that were published, to their digits.
#[test]
fn lifetime_value_of_the_cdnow_sample() {
    let folder = tempfile::tempdir().unwrap();
    let store = cdnow(folder.path());
    let plan = r#"{"lifetime_value":{"purchase":{"touchpoint":"purchase"},"unit":"1w","currency":"USD","horizon":"39w","customers":true},"scope":{"as_of":"1997-09-30T00:00:00Z"}}"#;
    let report = report(&store, plan);
    let customers = report["customers"].as_array().unwrap();
    let days = |field: &str| customers.iter().map(|one| one[field].as_f64().unwrap() * 7.0).sum::<f64>().round();
    let repeats: u64 = customers.iter().map(|one| one["repeats"].as_u64().unwrap()).sum();
    assert_eq!((customers.len(), repeats, days("last"), days("observed")), (2_357, 2_457, 112_949.0, 539_779.0));
    let rounded =
        |fit: &str, field: &str, decimals: usize| format!("{:.decimals$}", report[fit][field].as_f64().unwrap());
    let purchases = ["r", "alpha", "a", "b"].map(|parameter| rounded("purchases_fit", parameter, 3));
    assert_eq!(purchases, ["0.243", "4.414", "0.793", "2.426"]);
    assert_eq!(rounded("purchases_fit", "log_likelihood", 1), "-9582.4");
    let value = ["p", "q", "v"].map(|parameter| rounded("value_fit", parameter, 2));
    assert_eq!(value, ["6.25", "3.74", "15.44"]);
    assert_eq!(report["value_fit"]["customers"], 946);
    assert_eq!(report["warnings"], serde_json::json!([]));
}

#[test]
fn monthly_retention_of_the_cdnow_sample_with_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let store = cdnow(folder.path());
    let plan = r#"{"retention":{"start":{"touchpoint":"purchase"},"return":{"touchpoint":"purchase"},"period":"month","periods":6,"cohorts":"first_ever","value":true}}"#;
    let cohort = report(&store, plan)["cohorts"][0].clone();
    assert_eq!(cohort["period"], "1997-01-01T00:00:00Z");
    let expected = expected("CDNOW_sample")["cohort 1997-01 exact months (k, customers, value)"].clone();
    let cells = cohort["cells"].as_array().unwrap();
    assert_eq!(
        cells.iter().map(|cell| cell["customers"].as_u64().unwrap()).collect::<Vec<_>>(),
        [781, 124, 95, 70, 65, 77, 65]
    );
    for (cell, expected) in cells.iter().zip(expected.as_array().unwrap()) {
        assert_eq!(cell["customers"], expected[1], "{expected}");
        let amount: f64 = cell["value"][0]["amount"].as_str().unwrap().parse().unwrap();
        assert_eq!(Some(amount), expected[2].as_f64(), "{expected}");
    }
}

/// For each key what each of these models credits to it: conversions, and value in the one currency.
fn credits(report: &Value, models: &[&str]) -> BTreeMap<String, Vec<[f64; 2]>> {
    let number = |value: &Value| value.as_str().unwrap_or("0").parse::<f64>().unwrap();
    let row = |row: &Value| {
        let of_model = |model: &&str| {
            let credit = row["credits"].as_array().unwrap().iter().find(|credit| credit["model"] == **model).unwrap();
            [number(&credit["conversions"]), number(&credit["value"][0]["amount"])]
        };
        (row["key"].as_str().unwrap().to_owned(), models.iter().map(of_model).collect())
    };
    report["keys"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn the_six_conversions_of_the_fractribution_example() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let columns =
        ["--touchpoint", "kind", "--time", "ts", "--channel", "channel", "--amount", "value", "--currency", "=USD"];
    import(&store, &data("snowplow_fractribution_events.csv"), &columns);
    let plan = r#"{"attribution":{"conversion":{"touchpoint":"conversion"},"touch":{"touchpoint":"touch"},"within":"30d","direct":{"channel":"Direct"},"customers":true}}"#;
    let found = report(&store, plan);
    assert_eq!((&found["conversions"], &found["without_touch"]["conversions"]), (&6.into(), &0.into()));
    // Worked out by hand from the lines of the file: each conversion with the touches of the 30 days before it, that of its own
    // second included.
    let journeys = [
        (50.0, &["Direct", "Direct"][..]),
        (20.42, &["Direct"]),
        (200.0, &["Video"]),
        (66.5, &["Organic_Search", "Organic_Search"]),
        (140.0, &["Organic_Search", "Organic_Search", "Direct"]),
        (24.0, &["Direct", "Direct"]),
    ];
    let mut listed = found["listed"].as_array().unwrap().clone();
    listed.sort_by_key(|one| one["converted_at"].as_str().unwrap().to_owned());
    for (one, (value, touches)) in listed.iter().zip(journeys) {
        assert_eq!(one["value"]["amount"].as_str().unwrap().parse::<f64>().unwrap(), value);
        assert_eq!(one["touches"], serde_json::json!(touches));
    }
    let found = credits(&found, &["first", "last", "last_non_direct", "linear", "position", "shapley"]);
    let near = |key: &str, model: usize, [conversions, value]: [f64; 2]| {
        let [a, b] = found[key][model];
        assert!((a - conversions).abs() < 1e-8 && (b - value).abs() < 1e-7, "{key}: {a} {b}");
    };
    for (model, direct, search) in [
        (0, [3.0, 94.42], [2.0, 206.5]),
        (1, [4.0, 234.42], [1.0, 66.5]),
        (2, [3.0, 94.42], [2.0, 206.5]),
        (3, [3.0 + 1.0 / 3.0, 94.42 + 140.0 / 3.0], [1.0 + 2.0 / 3.0, 66.5 + 280.0 / 3.0]),
        (4, [3.4, 94.42 + 56.0], [1.6, 66.5 + 84.0]),
        (5, [3.5, 94.42 + 70.0], [1.5, 66.5 + 70.0]),
    ] {
        near("Direct", model, direct);
        near("Organic_Search", model, search);
        near("Video", model, [1.0, 200.0]);
    }
    let expected = expected("snowplow_fractribution");
    for (model, rule) in [(0, "first_touch"), (1, "last_touch, 30-day lookback (channel, conversions, revenue)")] {
        for row in expected[rule].as_array().unwrap() {
            near(row[0].as_str().unwrap(), model, [row[1].as_f64().unwrap(), row[2].as_f64().unwrap()]);
        }
    }
}

/// A script, run with the Python that has what `tests/requirements.txt` names.
fn script(name: &str, arguments: &[&str]) -> Value {
    let Some(python) = env::var_os("JOURNEYLOG_PYTHON") else {
        panic!("JOURNEYLOG_PYTHON is not set: it names a Python that has what tests/requirements.txt lists");
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let ran = Command::new(&python).arg(script).args(arguments).output();
    let ran: Ran = ran.unwrap_or_else(|e| panic!("JOURNEYLOG_PYTHON, {}: {e}", python.display())).into();
    serde_json::from_str(&ran.well().out).unwrap()
}

#[test]
fn campaigns_of_the_complete_journey_against_duckdb() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let file = data("completejourney_slice.csv.gz");
    let columns = ["--customer", "h", "--touchpoint", "kind", "--time", "ts", "--time-format", "%Y-%m-%d %H:%M:%S"];
    let more = ["--channel", "channel", "--amount", "v", "--currency", "=USD", "--properties", "campaign"];
    let ran = import(&store, &file, &[&columns[..], &more].concat());
    assert_eq!(["stored", "bad lines"].map(|word| ran.count(word)), [16_320, 0]);
    for kind in ["coupon_redeemed", "purchase"] {
        let plan = serde_json::json!({"attribution": {
            "conversion": {"touchpoint": kind}, "touch": {"touchpoint": "campaign_received"},
            "by": {"property": "campaign"}, "within": "60d", "half_life": "14d",
        }});
        let found = report(&store, &plan.to_string());
        let expected = script("attribution.py", &[file.to_str().unwrap(), kind]);
        let counts = serde_json::json!([found["conversions"], found["without_touch"]["conversions"]]);
        assert_eq!(expected["counts"], counts, "{kind}");
        let expected: BTreeMap<String, Vec<[f64; 2]>> = serde_json::from_value(expected["campaigns"].clone()).unwrap();
        let mut found = credits(&found, &["first", "last", "linear", "time_decay"]);
        assert!(expected.len() > 10, "{kind}: the script found too little to compare");
        // Campaigns that led to no conversion are listed too.
        found
            .retain(|campaign, credits| expected.contains_key(campaign) || credits.iter().any(|[some, _]| *some > 0.0));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{kind}");
        for (campaign, expected) in &expected {
            for (found, expected) in found[campaign].iter().flatten().zip(expected.iter().flatten()) {
                assert!((found - expected).abs() < 1e-5, "{kind} of {campaign}: {found} is not {expected}");
            }
        }
    }
}

#[test]
fn purchases_of_the_cdnow_sample_against_duckdb() {
    let folder = tempfile::tempdir().unwrap();
    let store = cdnow(folder.path());
    let expected = script("purchases.py", &[data("CDNOW_sample.txt").to_str().unwrap()]);
    let plan = |more: Value| {
        let mut plan = serde_json::json!({"purchases": {"purchase": {"touchpoint": "purchase"}, "currency": "USD"}});
        plan["purchases"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        report(&store, &plan.to_string())
    };
    let found = plan(serde_json::json!({}));
    let amount = |money: &Value| money["amount"].as_str().unwrap().parse::<f64>().unwrap();
    let cents = |text: &Value| text.as_str().unwrap().parse::<f64>().unwrap();
    let near = |found: &Value, expected: &Value, unit: f64| {
        let (found, expected) = (found.as_f64().unwrap() / unit, expected.as_f64().unwrap());
        assert!((found - expected).abs() < 1e-9 * expected, "{found} is not {expected}");
    };
    let repeat = |found: &Value, keys: &[&str]| keys.iter().map(|key| found["repeat"][key].clone()).collect::<Value>();
    assert_eq!(repeat(&found, &["buyers", "repeated"]), expected["repeat"]);
    let windowed = plan(serde_json::json!({"within": "520d"}));
    assert_eq!(repeat(&windowed, &["repeated", "once", "pending"]), expected["within"]);
    assert!(expected["within"].as_array().unwrap().iter().all(|count| *count != 0), "{expected}");
    let value = &found["values"][0];
    assert_eq!((&found["orders"], &found["purchases"]), (&expected["orders"][0], &expected["orders"][2]));
    assert_eq!((&value["orders"], amount(&value["total"])), (&found["orders"], cents(&expected["orders"][1])));
    near(&value["order_value"], &expected["means"][0], 1.0);
    near(&found["frequency"], &expected["means"][1], 1.0);
    for (place, figure) in ["mean", "median", "max"].into_iter().enumerate() {
        near(&found["recency"][figure], &expected["recency"][place], 86_400.0);
    }
    assert_eq!(found["between"]["count"], expected["between"][0]);
    near(&found["between"]["mean"], &expected["between"][1], 86_400.0);
    near(&found["between"]["median"], &expected["between"][2], 86_400.0);
    let (segments, right) = (list(&found, "segments"), list(&expected, "segments"));
    assert!(segments.len() == right.len() && right.len() > 50, "{segments:?}");
    for (segment, right) in segments.iter().zip(right) {
        let rfm = ["recency", "frequency", "monetary"].map(|of| segment["rfm"][of].clone());
        assert_eq!((&rfm[..], &segment["customers"]), (&right.as_array().unwrap()[..3], &right[3]));
        assert_eq!(amount(&segment["value"]), cents(&right[4]), "{right}");
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap()
}

/// Counts, odds ratios and p-values of each touchpoint.
fn agrees_on_drivers(store: &Path, expected: &Value) {
    let found = report(store, r#"{"drivers":{"of":{"conversion":{"touchpoint":"payment_done"}},"by":["touchpoint"]}}"#);
    let of_each = expected.as_object().unwrap();
    assert_eq!(list(&found, "drivers").len(), of_each.len());
    let numbers = |value: &Value| match value {
        Value::Array(values) => values.iter().map(|value| value.as_f64().unwrap()).collect(),
        value => vec![value.as_f64().unwrap()],
    };
    for driver in list(&found, "drivers") {
        let right: Vec<f64> = list(expected, driver["value"].as_str().unwrap()).iter().flat_map(numbers).collect();
        let count = |group: &str, what: &str| driver[group][what].as_f64().unwrap();
        let lost = |group: &str| count(group, "of") - count(group, "some");
        let test = |key: &str| driver["test"][key].as_f64().unwrap();
        let odds = ["ratio", "low", "high"].map(|key| driver["test"]["odds"][key].as_f64().unwrap());
        let counts = [count("with", "some"), lost("with"), count("without", "some"), lost("without")];
        let found = [&counts[..], &odds[..], &["p_value", "holm", "q_value"].map(test)[..]].concat();
        assert_eq!(found.len(), right.len());
        for (found, right) in found.iter().zip(&right) {
            // Of p-values that are next to nothing the last digits differ.
            assert!((found - right).abs() <= 1e-6 * right.abs().max(1e-100), "{found} {right} {driver}");
        }
    }
}

/// Chains of order 1 and 2: removal effects and credits of each touchpoint.
fn agrees_on_markov(store: &Path, expected: &[Value]) {
    for (order, right) in (1..).zip(expected) {
        let plan = serde_json::json!({"attribution": {"conversion": {"touchpoint": "payment_done"}, "touch": {"all": []},
            "within": "1h", "by": "touchpoint", "models": ["markov"], "order": order}});
        let found = report(store, &plan.to_string());
        let without = found["without_touch"]["conversions"].as_u64().unwrap();
        let converting = found["conversions"].as_u64().unwrap() - without;
        assert_eq!(serde_json::json!([converting, found["null_journeys"]]), serde_json::json!([right[0], right[1]]));
        let right = right[2].as_object().unwrap();
        let of_effect = list(&found, "keys").iter().filter(|row| right.contains_key(row["key"].as_str().unwrap()));
        assert_eq!((of_effect.count(), list(&found, "keys").len()), (right.len(), right.len()));
        for row in list(&found, "keys") {
            let right = right[row["key"].as_str().unwrap()].as_array().unwrap();
            let credit: f64 = row["credits"][0]["conversions"].as_str().unwrap().parse().unwrap();
            let near = |found: f64, right: &Value| (found - right.as_f64().unwrap()).abs() < 1e-8 * found.max(1.0);
            assert!(
                near(row["removal_effect"].as_f64().unwrap(), &right[0]) && near(credit, &right[1]),
                "{row} {right:?}"
            );
        }
    }
}

/// Everything that can be said in another tool's SQL, compared number by number.
#[test]
fn answers_of_another_tool() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let file = data("simple_shop.csv.gz");
    import(&store, &file, &SHOP);
    let expected = script("peers.py", &[file.to_str().unwrap()]);
    let model: Value = serde_json::from_str(include_str!("data/shop_model.json")).unwrap();
    let of_model = |plan: &str| format!(r#"{{"{plan}":{{}},"model":{}}}"#, model["model"]);

    let buying = ["catalog", "cart", "delivery_choice", "payment_choice", "payment_done"];
    for (window, expected) in [None, Some("60s"), Some("20s")].into_iter().zip(list(&expected, "funnel")) {
        assert_eq!(serde_json::json!(funnel(&store, &buying, window, &[])), *expected, "{window:?}");
    }

    let found = report(&store, &of_model("transitions"));
    let made = list(&found, "cells").iter().filter(|cell| cell["count"] != 0);
    let name = |cell: &Value| format!("{}>{}", cell["from"].as_str().unwrap_or("start"), cell["to"].as_str().unwrap());
    let moves: serde_json::Map<_, _> =
        made.map(|cell| (name(cell), serde_json::json!([cell["count"], cell["customers"]]))).collect();
    assert_eq!(Value::from(moves), expected["moves"]);
    let now = list(&found, "stages").iter();
    let now: serde_json::Map<_, _> =
        now.map(|stage| (stage["stage"].as_str().unwrap().to_owned(), stage["here_now"].clone())).collect();
    assert_eq!(Value::from(now), expected["now"]);

    for stage in list(&report(&store, &of_model("dwell")), "stages") {
        let micros = stage["median"]["seconds"].as_f64().map(|seconds| (seconds * 1e6).round());
        // Lengths may be counted in buckets, and are then as much shorter as the report says.
        let expected = expected["dwell"][stage["stage"].as_str().unwrap()].as_f64();
        let shorter = 1.0 - stage["relative_error"].as_f64().unwrap();
        assert!(micros <= expected && micros >= expected.map(|most| most * shorter), "{expected:?} {stage}");
        assert_eq!(stage["relative_error"], 0.0, "{stage}");
    }

    let plan =
        r#"{"retention":{"start":{"all":[]},"return":{"all":[]},"period":"month","periods":6,"cohorts":"first_ever"}}"#;
    let mut retention = Vec::new();
    for cohort in list(&report(&store, plan), "cohorts") {
        for (column, cell) in list(cohort, "cells").iter().enumerate().filter(|(_, cell)| cell["customers"] != 0) {
            retention.push(serde_json::json!([cohort["period"].as_str().unwrap()[..10], column, cell["customers"]]));
        }
    }
    assert_eq!(Value::from(retention), expected["retention"]);

    let found = report(&store, r#"{"lifecycle":{"activity":{"all":[]},"period":"month"}}"#);
    let phases = |row: &Value| {
        let [new, returning, resurrected, dormant] =
            ["new", "returning", "resurrected", "dormant"].map(|key| &row[key]);
        serde_json::json!([row["period"].as_str().unwrap()[..10], new, returning, resurrected, dormant])
    };
    assert_eq!(list(&found, "periods").iter().map(phases).collect::<Value>(), expected["lifecycle"]);

    let found = report(&store, r#"{"churn_rate":{"period":"month","inactive_after":2}}"#);
    let (last, over) = list(&found, "periods").split_last().unwrap();
    let figures = |row: &Value, lost: &str| {
        let period = &row["period"].as_str().unwrap()[..10];
        serde_json::json!([period, row["base"], row["retained"], row[lost]])
    };
    let mut churn: Vec<Value> = over.iter().map(|row| figures(row, "churned")).collect();
    // Of the last month, which is not over, only who was there and who came is known.
    churn.push(figures(last, "retained"));
    let mut expected_churn = list(&expected, "churn").clone();
    let expected_last = expected_churn.last_mut().unwrap();
    expected_last[3] = expected_last[2].clone();
    assert_eq!(churn, expected_churn);

    let plan =
        r#"{"conversion_rate":{"exposed":{"touchpoint":"cart"},"wanted":{"touchpoint":"payment_done"},"within":"3d"}}"#;
    let found = report(&store, plan);
    let trials: Value = ["exposed", "followed", "pending"].map(|key| found["total"][key].clone()).into_iter().collect();
    assert_eq!(trials, expected["conversion"]);

    agrees_on_drivers(&store, &expected["drivers"]);
    agrees_on_markov(&store, list(&expected, "markov"));

    let found = report(&store, r#"{"stickiness":{"activity":{"all":[]},"period":"day","of":28}}"#);
    let active = list(&found, "rows").iter().filter(|row| row["exactly"]["some"] != 0);
    let days: serde_json::Map<_, _> =
        active.map(|row| (row["periods"].to_string(), row["exactly"]["some"].clone())).collect();
    assert_eq!(Value::from(days), expected["stickiness"]);

    let found = report(&store, r#"{"sessions":{"gap":"30m","every":"month"}}"#);
    let all = ["sessions", "customers", "events"].map(|key| &found[key]);
    let [sessions, customers, events] = all;
    let all = serde_json::json!([sessions, customers, events, found["bounced"]["some"], found["open"]]);
    assert_eq!(all, expected["sessions"]);
    let month = |row: &Value| {
        let period = &row["period"].as_str().unwrap()[..10];
        serde_json::json!([period, row["sessions"], row["customers"], row["events"]])
    };
    assert_eq!(list(&found, "over_time").iter().map(month).collect::<Value>(), expected["sessions_by_month"]);

    let found = report(&store, r#"{"paths":{"gap":"30m","depth":3,"variants":100}}"#);
    let path = |one: &Value| {
        let steps: Vec<_> = list(one, "steps").iter().map(|step| step.as_str().unwrap()).collect();
        (steps.join(" > "), serde_json::json!([one["paths"]["some"], one["customers"]]))
    };
    let paths: serde_json::Map<_, _> = list(&found, "variants").iter().map(path).collect();
    assert_eq!(Value::from(paths), expected["paths"]);

    let plan =
        r#"{"segment":{"of":{"did":{"touchpoint":"cart"},"then_not":{"touchpoint":"payment_done"},"within":"3d"}}}"#;
    assert_eq!(report(&store, plan)["members"]["some"], expected["segment"][0]);

    let plan = r#"{"pattern":{"steps":[{"when":{"touchpoint":"catalog"}},{"when":{"touchpoint":"cart"},"follows":"directly"}],"within":"10s"}}"#;
    let found = report(&store, plan);
    assert_eq!(serde_json::json!([found["matched"]["some"], found["matches"]]), expected["pattern"]);
}
