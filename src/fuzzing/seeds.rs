//! Makes the seeds: `cargo test --lib fuzzing::seeds -- --ignored`. What fuzzing finds is added to them by hand.

use std::{fs, path::Path};

use crate::{Channel, Event, Feedback, Money, PropertyValue, testing::World};

fn put(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

fn events() -> Vec<Event> {
    let mut events = World::new(2).events(12).make();
    let full = Event::at("2026-03-01T09:30:00.25Z".parse().unwrap(), "c-42", "product_view")
        .id("e-1")
        .channel(Channel::new("kiosk").unwrap())
        .stage("consideration")
        .value(Money::new("-19.90", "EUR").unwrap())
        .feedback(Feedback::nps(9).unwrap().with_comment("zażółć \"gęślą\"\n").unwrap())
        .property("campaign", "spring")
        .property("large", u64::MAX)
        .property("float", 0.1)
        .property("deep", PropertyValue::from(serde_json::json!({"a": [1, {"b": null}]})));
    events.push(full.build().unwrap());
    events
}

#[test]
#[ignore = "it writes the seeds"]
fn write_the_seeds() {
    for (place, event) in events().iter().enumerate().skip(6) {
        put("event_json", &format!("event-{place}"), serde_json::to_string(event).unwrap());
    }
    for (place, time) in [
        "-262143-01-01T00:00:00Z",
        "+262142-12-31T23:59:59.999999Z",
        "1969-12-31T23:59:60.5+14:00",
        "+262142-12-31T23:59:60.999Z",
    ]
    .into_iter()
    .enumerate()
    {
        let text = format!(r#"{{"customer":"a","touchpoint":"t","occurred_at":"{time}"}}"#);
        put("event_json", &format!("time-{place}"), text);
    }
    imports();
    plans();
    for (name, record) in crate::codec::fuzzing::seeds(&events()) {
        put("decoders", &name, [&[0], record.as_slice()].concat());
    }
    for (name, file) in crate::store::fuzzing::seeds(&World::new(2).customers(3).events(30).make()) {
        put("decoders", &name, [&[1], file.as_slice()].concat());
    }
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let bytes: Vec<u8> = (0..random.usize(20..400)).map(|_| random.u8(..)).collect();
        put("store", &format!("random-{seed}"), bytes);
    }
}

fn imports() {
    let lines: String = events().iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    put("import", "ndjson", format!("\0{lines}"));
    put("import", "ndjson-bad", "\0\u{feff}{\"customer\":\"a\"}\r\n\r\n\"x\"\n{\"customer\":");
    let file = "user,event,at,amount,score,words\nann,cart,2026-03-01 09:30:00,19.90,4,\"so, \"\"so\"\"\nagain\"\nbob,\"cart,\n";
    for (name, choices) in [
        ("csv-header", [1, 0, 0, 2, 1, 1, 1, 1]),
        ("csv-numbers", [0, 0, 0, 1, 0, 0, 0, 0]),
        ("csv-unix", [1, 1, 2, 0, 1, 0, 0, 0]),
        ("csv-blanks", [0, 4, 4, 0, 1, 1, 0, 0]),
    ] {
        put("import", name, [&[1], choices.as_slice(), file.as_bytes()].concat());
    }
    put("import", "csv-open-quotes", [&[1, 0, 0, 0, 0, 1, 0, 0, 0], "a\"b,\"\n".repeat(40).as_bytes()].concat());
    let mapping = r#"{"customer":"user","touchpoint":{"constant":"cart"},"occurred_at":3,"time_format":"%d.%m.%Y %H:%M","channel":"event","id":["user",3],"value":{"amount":4,"currency":{"constant":"EUR"}},"properties":{"p":"words"},"infer_types":true,"delimiter":";"}"#;
    put(
        "import",
        "csv-mapping",
        format!("\u{2}{mapping}\0user;event;at;amount;words\nann;web;01.03.2026 09:30;1;true\n"),
    );
    put(
        "import",
        "csv-others",
        format!(
            "\u{2}{}\0user,,at,,\na,b,2026-03-01,c,d\n",
            r#"{"customer":1,"touchpoint":2,"occurred_at":3,"properties":"others","id":"line"}"#
        ),
    );
}

fn plans() {
    for (name, text) in [
        (
            "funnel",
            r#"{"funnel":{"steps":[{"touchpoint":"product_view"},{"touchpoint":"add_to_cart"},{"stage":"purchase"}],"window":"2d","order":"ordered","ties":"either","exclude":[{"when":{"touchpoint":"ad_click"},"between":[1,2]}],"breakdown":{"by":"channel"},"customers":true},"scope":{"from":"2026-03-01T00:00:00Z"}}"#,
        ),
        (
            "strict",
            r#"{"funnel":{"steps":[{"any":[{"touchpoint":"product_view"},{"not":{"channel":"web"}}]},{"all":[]}],"order":"strict","ties":"later_only","breakdown":{"by":{"property":"p"},"from":{"step":2},"limit":1}}}"#,
        ),
        (
            "bands",
            r#"{"funnel":{"steps":[{"value":{"currency":"EUR","ge":"-5"}},{"feedback":{"survey":"nps","lt":11}}],"breakdown":{"by":{"value":{"currency":"EUR","edges":["-5","10.00","999999999999999999.999999999"]}},"from":"last_defined"}}}"#,
        ),
        (
            "each",
            r#"{"funnel":{"steps":[{"property":"p","in":["spring",1,2.5,true,null]},{"property":"q","contains":"sp"},{"property":"q","exists":false}],"window":"9223372036854775807us","breakdown":{"by":{"property":"q"},"from":"each"}}}"#,
        ),
        (
            "touch",
            r#"{"funnel":{"steps":[{"touchpoint":"purchase"}],"breakdown":{"by":{"last_touch":"channel"}}},"scope":{"as_of":"+262142-12-31T23:59:59.999999Z","known_at":9,"customers":["c0","x"],"filter":{"value":{"exists":true}}}}"#,
        ),
        (
            "model",
            r#"{"transitions":{"model":{"name":"m","version":2,"stages":["a","b"],"aliases":[["x","a"]],"rules":[{"when":{"touchpoint":"purchase"},"nth":2,"stage":"b"},{"when":{"all":[]},"nth":{"from":1},"stage":"a"}],"moves":[["a","b"]]}}}"#,
        ),
        (
            "stages",
            r#"[{"stages":{"every":"day","customers":true}},{"stages":{"every":"month"},"scope":{"to":"2026-03-03T00:00:00Z"}},{"transitions":{},"scope":{"as_of":"2026-03-02T12:00:00Z"}}]"#,
        ),
        (
            "segment",
            r#"[{"segment":{"of":{"did":{"touchpoint":"add_to_cart"},"then_not":{"touchpoint":"purchase"},"within":"3d","past":"30d"},"customers":true}},{"segment":{"of":{"all":[{"did":{"all":[]},"at_least":2,"at_most":9},{"not":{"did_not":{"channel":"web"}}},{"any":[{"first":{"all":[]},"is":{"channel":"email"}},{"last":{"touchpoint":"purchase"},"from":"2026-03-01T00:00:00Z","to":"2026-03-09T00:00:00Z"}]}]}},"scope":{"segment":{"did":{"touchpoint":"purchase"},"exactly":1}}}]"#,
        ),
        (
            "by_segment",
            r#"{"transitions":{},"by_segment":{"a":{"stage":"purchase"},"b":{"reached":"consideration"},"c":{"score":{"survey":"nps","le":6},"answer":"any"},"d":{"value":{"currency":"EUR","ge":"10"},"of":{"touchpoint":"purchase"}},"e":{"others":true}},"customers":true}"#,
        ),
        (
            "paths",
            r#"[{"paths":{"start_events":[3,1],"gap":"1d","depth":3,"customers":true}},{"paths":{"start_events":[],"end":{"touchpoint":"purchase"}}}]"#,
        ),
        (
            "drivers",
            r#"[{"drivers":{"of":{"conversion":{"touchpoint":"purchase"}},"by":["touchpoint","channel",{"property":"p"}],"min_support":2,"limit":3,"customers":true}},{"drivers":{"of":{"dissatisfaction":"nps"},"within":"1d","answers":"latest"}},{"drivers":{"of":{"satisfaction":"ces"},"by":["touchpoint",{"profile":"p"},{"profile_latest":"q"}]},"scope":{"from":"2026-03-02T00:00:00Z"}}]"#,
        ),
        (
            "consistency",
            r#"[{"consistency":{"of":"nps","min_answers":2,"customers":true}},{"consistency":{"of":"csat","by":"stage","when":{"channel":"web"},"answers":"latest"}}]"#,
        ),
        (
            "churn_rate",
            r#"[{"churn_rate":{"period":"day","inactive_after":2,"by":"stage","customers":true}},{"churn_rate":{"period":"week","activity":{"touchpoint":"purchase"},"by":"channel"},"scope":{"from":"2026-03-02T00:00:00Z"}}]"#,
        ),
        (
            "purchases",
            r#"[{"purchases":{"purchase":{"touchpoint":"purchase"},"within":"2d","currency":"EUR","customers":true}},{"purchases":{"purchase":{"value":{"exists":true}}},"scope":{"to":"2026-03-03T00:00:00Z"}},{"purchases":{"purchase":{"touchpoint":"purchase"},"count":"orders"},"scope":{"from":"2026-03-02T00:00:00Z"}}]"#,
        ),
        ("hours", r#""{"stages":{"every":"hour"},"scope":{"as_of":"-262143-01-01T00:00:00Z"}}"#),
    ] {
        put("plan_json", name, text);
    }
    let deep = format!("{}{}{}", r#"{"not":"#.repeat(31), r#"{"touchpoint":"a"}"#, "}".repeat(31));
    put("plan_json", "deep", format!(r#"{{"funnel":{{"steps":[{deep}]}}}}"#));
}
