//! Questions and answers as JSON: the forms that outsiders rely on.

use chrono::TimeDelta;
use journeylog::{
    Answer, Condition, Dwell, Entry, Event, Funnel, JourneyModel, Question, Report, Scope, StageCounts, Transitions,
    testing::{World, differences},
};
use serde_json::{Value, json};

use crate::given::{
    any_attribution, any_churn_rate, any_conformance, any_consistency, any_conversion_rate, any_drivers,
    any_experience, any_funnel, any_lifecycle, any_lifetime_value, any_matches, any_model, any_paths,
    any_pattern_conformance, any_purchases, any_retention, any_scope, any_sessions, any_stickiness, day, given,
    journeys,
};

#[test]
fn the_event_of_the_contract() {
    let line = r#"{"id":"e-1","customer":"c-42","touchpoint":"product_view","channel":"web","occurred_at":"2026-03-01T09:30:00.250Z","stage":"consideration","value":{"amount":"19.90","currency":"EUR"},"feedback":{"nps":9},"properties":{"campaign":"spring"}}"#;
    let event: Event = serde_json::from_str(line).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), line);
    let least: Event =
        serde_json::from_str(r#"{"customer":"c","touchpoint":"t","occurred_at":"2026-03-01T09:30:00Z"}"#).unwrap();
    assert_eq!(least.channel().as_str(), "web");
}

#[test]
fn the_plan_of_the_contract() {
    let text = r#"{"funnel":{"steps":[{"touchpoint":"product_view"},{"touchpoint":"add_to_cart","channel":"web"},{"stage":"purchase"}],"window":"7d","order":"ordered"},"scope":{"from":"2026-03-01T00:00:00Z","to":"2026-04-01T00:00:00Z"}}"#;
    let questions = Question::read(text).unwrap();
    let at = |name| Condition::touchpoint(name).unwrap();
    let web: Condition = serde_json::from_value(json!({"channel": "web"})).unwrap();
    let steps = [at("product_view"), at("add_to_cart").and(web), Condition::stage("purchase").unwrap()];
    let funnel = Funnel::ordered(&steps).within(TimeDelta::days(7)).build().unwrap();
    let (from, to) = ("2026-03-01T00:00:00Z".parse().unwrap(), "2026-04-01T00:00:00Z".parse().unwrap());
    // Several keys in one object are all of them, taken in the order of the documentation.
    let [question] = questions.as_slice() else { panic!("one question") };
    assert_eq!(question.scope, Scope::all().between(from..to));
    assert_eq!(question.model, None);
    let asked = serde_json::to_value(question).unwrap();
    assert_eq!(asked["funnel"]["window"], "7d");
    assert_eq!(asked["funnel"]["steps"][0], json!({"touchpoint": "product_view"}));
    let run = |question: Question| {
        journeys(&given(&["ann 0 product_view"])).query().ask(&[question]).unwrap().remove(0).report
    };
    assert_eq!(run(question.clone()), run(Question::new(funnel).scope(Scope::all().between(from..to))));
}

#[test]
fn every_kind_of_question_in_a_list() {
    let model = serde_json::to_value(any_model(1)).unwrap();
    let text = json!([
        {"funnel": {"steps": [{"touchpoint": "a"}], "order": "strict", "ties": "later_only", "customers": true}},
        {"transitions": {}},
        {"transitions": {"model": model}, "scope": {"known_at": 17}},
        {"stages": {"every": "week", "customers": true}, "model": model},
        {"funnel": {"steps": [{"touchpoint": "a"}, {"touchpoint": "b"}],
            "exclude": [{"when": {"touchpoint": "x"}, "between": [1, 2]}],
            "breakdown": {"by": {"property": "campaign"}, "from": "first_defined", "limit": 10}},
            "scope": {"as_of": "2026-03-01T00:00:00Z", "filter": {"channel": "web"}, "customers": ["c-42"]}},
    ]);
    let questions = Question::read(&text.to_string()).unwrap();
    assert_eq!(questions.len(), 5);
    let written = serde_json::to_value(&questions).unwrap();
    assert_eq!(written[2], text[2]);
    assert_eq!(written[3]["stages"], text[3]["stages"]);
    assert_eq!(written[4]["funnel"]["breakdown"], text[4]["funnel"]["breakdown"]);
    assert_eq!(Question::read(&written.to_string()).unwrap(), questions);
}

#[test]
#[expect(clippy::too_many_lines, reason = "each is a case of its own")]
fn an_unknown_key_is_named_with_its_place() {
    for (text, expected) in [
        (r#"{"funnle":{"steps":[{"touchpoint":"a"}]}}"#, "funnle"),
        (r#"{"funnel":{"steps":[{"touchpoint":"a"}],"windows":"7d"}}"#, "windows"),
        (r#"{"funnel":{"steps":[{"touchpoint":"a"},{"touchpiont":"b"}]}}"#, "funnel.steps[1]: touchpiont"),
        (r#"{"funnel":{"steps":[{"any":[{"touchpoint":"a"},{"x":1}]}]}}"#, "funnel.steps[0]: any[1].x"),
        (r#"{"funnel":{"steps":[{"touchpoint":"a"}],"window":"7 days"}}"#, "funnel.window"),
        (r#"{"funnel":{"steps":[{"touchpoint":"a"}],"order":"loose"}}"#, "loose"),
        (r#"{"funnel":{"steps":[]}}"#, "funnel.steps: has 0 steps"),
        (r#"{"funnel":{"steps":[{"touchpoint":"a"}],"exclude":[{"when":{"touchpoint":"x"}}]}}"#, "funnel.exclude[0]"),
        (
            r#"{"funnel":{"steps":[{"touchpoint":"a"}],"breakdown":{"by":"channel","form":"each"}}}"#,
            "funnel.breakdown.form: unknown field",
        ),
        (r#"{"funnel":{"steps":[{"touchpoint":"a"}],"breakdown":{"by":"chanel"}}}"#, "funnel.breakdown.by: unknown"),
        (
            r#"{"funnel":{"steps":[{"touchpoint":"a"}],"breakdown":{"by":"channel","from":{"step":2}}}}"#,
            "funnel.breakdown.from: 2 is none of 1 steps",
        ),
        (
            r#"{"funnel":{"steps":[{"touchpoint":"a"}],"breakdown":{"by":{"first_touch":"channel"},"from":"each"}}}"#,
            "funnel.breakdown.from: a first or last touch",
        ),
        (
            r#"{"funnel":{"steps":[{"touchpoint":"a"}],"breakdown":{"by":{"value":{"currency":"EUR","edges":["x"]}}}}}"#,
            "funnel.breakdown.by.value",
        ),
        (r#"{"funnel":{"steps":[{"touchpoint":"a","touchpoint":"b"}]}}"#, "duplicate field `touchpoint`"),
        (r#"{"stages":{},"scope":{},"scope":{}}"#, "duplicate field `scope`"),
        (r#"{"stages":{},"by_segment":{"a":"x","a":"y"}}"#, "duplicate field `a`"),
        (r#"{"funnel":7}"#, "funnel: invalid type: integer, expected an object"),
        (r#"{"funnel":{}}"#, "steps"),
        (r#"{"transitions":{"modle":{}}}"#, "modle"),
        (r#"{"stages":{"every":"decade"}}"#, "decade"),
        (r#"{"retention":{"start":{"touchpoint":"a"},"period":"day"}}"#, "return"),
        (
            r#"{"retention":{"start":{"touchpiont":"a"},"return":{"all":[]},"period":"day"}}"#,
            "retention.start: touchpiont",
        ),
        (r#"{"retention":{"start":{"all":[]},"return":{"all":[]},"period":"decade"}}"#, "retention.period"),
        (
            r#"{"retention":{"start":{"all":[]},"return":{"all":[]},"period":"day","periods":0}}"#,
            "retention.periods: is 0",
        ),
        (
            r#"{"retention":{"start":{"all":[]},"return":{"all":[]},"period":{"calendar":"day","zone":"Mars"}}}"#,
            "retention.period.zone: ",
        ),
        (
            r#"{"retention":{"start":{"all":[]},"return":{"all":[]},"period":"day","elapsed":"1 month"}}"#,
            "retention.elapsed: ",
        ),
        (
            r#"{"retention":{"start":{"all":[]},"return":{"all":[]},"period":"day","elapsed":"90m"}}"#,
            "retention.elapsed: is not a whole number of hours",
        ),
        (
            r#"{"retention":{"start":{"all":[]},"return":{"all":[]},"period":"day","criterion":{"bracket":[3,1]}}}"#,
            "retention.criterion.bracket: ",
        ),
        (r#"{"lifecycle":{"activity":{"all":[]},"period":"day","of":7}}"#, "lifecycle.of: unknown field"),
        (r#"{"lifecycle":{"activity":{"touchpiont":"a"},"period":"day"}}"#, "lifecycle.activity: touchpiont"),
        (r#"{"stickiness":{"activity":{"all":[]},"period":"day"}}"#, "of"),
        (r#"{"stickiness":{"activity":{"all":[]},"period":"day","of":0}}"#, "stickiness.of: is 0"),
        (r#"{"lifetime_value":{"purchase":{"all":[]},"unit":"36h"}}"#, "lifetime_value.unit: is not a whole"),
        (r#"{"lifetime_value":{"buys":{"all":[]}}}"#, "lifetime_value.buys: unknown field"),
        (r#"{"sessions":{"gap":"half an hour"}}"#, "sessions.gap"),
        (r#"{"sessions":{"limit":0}}"#, "sessions.limit: is 0"),
        (r#"{"sessions":{"gpa":"30m"}}"#, "sessions.gpa: unknown field"),
        (r#"{"paths":{"of":"touchpiont"}}"#, "paths.of: unknown variant"),
        (r#"{"paths":{"of":{"groups":[{"lable":"a","when":{"all":[]}}]}}}"#, "lable"),
        (r#"{"paths":{"of":{"groups":[{"label":"a","when":{"touchpiont":"b"}}]}}}"#, "touchpiont"),
        (r#"{"paths":{"of":{"groups":[]}}}"#, "paths.of.groups: has 0 groups"),
        (r#"{"paths":{"start":{"touchpiont":"a"}}}"#, "paths.start: touchpiont"),
        (r#"{"paths":{"depht":3}}"#, "paths.depht: unknown field"),
        (r#"{"paths":{"depth":0}}"#, "paths.depth: is 0"),
        (r#"{"pattern":{}}"#, "steps"),
        (r#"{"pattern":{"steps":[]}}"#, "pattern.steps: has 0 steps"),
        (r#"{"pattern":{"steps":[{"when":{"touchpiont":"a"}}]}}"#, "touchpiont"),
        (r#"{"pattern":{"steps":[{"when":{"all":[]},"at_lest":2}]}}"#, "at_lest"),
        (r#"{"pattern":{"steps":[{"when":{"all":[]},"at_least":3,"at_most":2}]}}"#, "pattern.steps[0]: at_most"),
        (r#"{"pattern":{"steps":[{"when":{"all":[]},"at_least":0}]}}"#, "pattern.steps[0].at_least: is 0"),
        (r#"{"pattern":{"steps":[{"when":{"all":[]},"follows":"soon"}]}}"#, "soon"),
        (r#"{"pattern":{"steps":[{"when":{"all":[]}}],"witin":"2d"}}"#, "pattern.witin: unknown field"),
        (r#"{"conformance":{"entires":[]}}"#, "conformance.entires: unknown field"),
        (r#"{"conformance":{"entries":[]}}"#, "conformance.entries: is empty"),
        (r#"{"conformance":{"entries":[""]}}"#, "conformance.entries[0]: is empty"),
        (r#"{"dwell":{"modle":{}}}"#, "dwell.modle: unknown field"),
        (r#"{"stages":{},"scope":{"form":"2026-03-01T00:00:00Z"}}"#, "form"),
        (r#"{"stages":{},"scope":{"from":"yesterday"}}"#, "scope.from"),
        (r#"{"stages":{},"scope":{"filter":{"chanel":"web"}}}"#, "scope.filter: chanel"),
        (r#"{"stages":{},"scope":{"from":"2026-03-02T00:00:00Z","to":"2026-03-01T00:00:00Z"}}"#, "scope: the range"),
        (
            r#"{"stages":{},"model":{"name":"m","stages":["a"],"rules":[{"when":{"touchpoint":"x"},"stage":"b"}]}}"#,
            "model.rules[0]: b is no stage",
        ),
        (r#"{"stages":{},"transitions":{}}"#, "found: stages, transitions"),
        ("{}", "needs one of"),
        ("7", "is not an object"),
        ("{", "JSON"),
        (r#"[{"stages":{}},{"stages":{"evry":"day"}}]"#, "[1]."),
    ] {
        let refused = Question::read(text).expect_err(text).to_string();
        assert!(refused.contains(expected), "{text}: {refused}");
    }
}

#[test]
fn an_unknown_key_of_attribution_and_experience_is_named_with_its_place() {
    for (text, expected) in [
        (r#"{"attribution":{"conversion":{"touchpoint":"a"}}}"#, "touch"),
        (
            r#"{"attribution":{"conversion":{"touchpiont":"a"},"touch":{"all":[]}}}"#,
            "attribution.conversion: touchpiont",
        ),
        (
            r#"{"attribution":{"conversion":{"all":[]},"touch":{"all":[]},"lookback":"7d"}}"#,
            "attribution.lookback: unknown field",
        ),
        (
            r#"{"attribution":{"conversion":{"all":[]},"touch":{"all":[]},"models":["lats"]}}"#,
            "attribution.models[0]: unknown variant",
        ),
        (r#"{"attribution":{"conversion":{"all":[]},"touch":{"all":[]},"order":4}}"#, "attribution.order: is 4"),
        (r#"{"attribution":{"conversion":{"all":[]},"touch":{"all":[]},"by":"chanel"}}"#, "attribution.by: unknown"),
        (r#"{"attribution":{"conversion":{"all":[]},"touch":{"all":[]},"within":"soon"}}"#, "attribution.within"),
        (r#"{"drivers":{"of":{"conversion":{"all":[]}},"look_back":"1d"}}"#, "drivers.look_back: unknown field"),
        (r#"{"drivers":{"of":{"satisfied":"nps"}}}"#, "drivers.of: unknown variant"),
        (r#"{"drivers":{"of":{"satisfaction":"npps"}}}"#, "drivers.of.satisfaction: unknown variant"),
        (r#"{"drivers":{"of":{"satisfaction":"nps"},"limit":0}}"#, "drivers.limit: is 0"),
        (r#"{"consistency":{}}"#, "consistency: missing field `of`"),
        (r#"{"consistency":{"of":"nps","surveys":[]}}"#, "consistency.surveys: unknown field"),
        (r#"{"consistency":{"of":"nps","min_answers":1}}"#, "consistency.min_answers: is below 2"),
        (r#"{"experience":{"survey":"nps"}}"#, "experience.survey: unknown field"),
        (r#"{"experience":{"surveys":["npps"]}}"#, "experience.surveys[0]: unknown variant"),
        (r#"{"experience":{"surveys":[]}}"#, "experience.surveys: is empty"),
        (r#"{"experience":{"by":"month"}}"#, "experience.by: unknown variant"),
        (r#"{"experience":{"when":{"touchpiont":"a"}}}"#, "experience.when: touchpiont"),
    ] {
        let refused = Question::read(text).expect_err(text).to_string();
        assert!(refused.contains(expected), "{text}: {refused}");
    }
}

#[test]
fn what_a_funnel_does_not_know_is_named_too() {
    for (text, expected) in [
        (
            r#"{"funnel":{"steps":[{"touchpoint":"a"}],"ties":{"within":"0s"}}}"#,
            "funnel.ties: is a tolerance of nothing",
        ),
        (r#"{"funnel":{"steps":[{"touchpoint":"a"}],"ties":{"witin":"2s"}}}"#, "witin"),
        (
            r#"{"funnel":{"steps":[{"touchpoint":"a"}],"order":"strict","ties":{"within":"2s"}}}"#,
            "funnel.ties: a strict",
        ),
        (r#"{"funnel":{"steps":[{"touchpoint":"a"}],"preset":"clickhouse"}}"#, "funnel.window: is not said"),
        (r#"{"funnel":{"steps":[{"touchpoint":"a"}],"preset":"click_house"}}"#, "click_house"),
        (r#"{"funnel":{"steps":[{"touchpoint":"a"}],"vlaue":true}}"#, "vlaue"),
    ] {
        let refused = Question::read(text).expect_err(text).to_string();
        assert!(refused.contains(expected), "{text}: {refused}");
    }
}

/// Once the values of an object's keys, in the right order and without the keys, were read as the object.
#[test]
fn a_list_in_place_of_an_object_is_refused() {
    /// All orders of a few values.
    fn orders(values: &[Value]) -> Vec<Vec<Value>> {
        let [first, others @ ..] = values else { return vec![Vec::new()] };
        let with_first =
            |order: &Vec<Value>, place: usize| [&order[..place], std::slice::from_ref(first), &order[place..]].concat();
        let orders = orders(others);
        orders.iter().flat_map(|order| (0..=order.len()).map(move |place| with_first(order, place))).collect()
    }
    /// The same JSON with each of its objects, one at a time, as a list of its values, in every order if they are few, and of none.
    fn with_lists(json: &Value) -> Vec<Value> {
        let mut changed = match json {
            Value::Object(object) => {
                let values: Vec<Value> = object.values().cloned().collect();
                let lists = if values.len() <= 5 { orders(&values) } else { vec![values] };
                lists.into_iter().map(Value::from).chain([json!([])]).collect()
            }
            _ => Vec::new(),
        };
        let parts: Vec<(String, &Value)> = match json {
            Value::Object(object) => object.iter().map(|(key, part)| (format!("/{key}"), part)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(place, part)| (format!("/{place}"), part)).collect(),
            _ => Vec::new(),
        };
        for (place, part) in parts {
            for part in with_lists(part) {
                let mut whole = json.clone();
                *whole.pointer_mut(&place).unwrap() = part;
                changed.push(whole);
            }
        }
        changed
    }
    let plans: Vec<Value> = serde_json::from_str(include_str!("../golden/plans.json")).unwrap();
    let model = json!({"stages": {}, "model": any_model(1)});
    for plan in plans.iter().chain([&model]) {
        // A list of questions is one.
        for changed in with_lists(plan).into_iter().filter(Value::is_object) {
            assert!(Question::read(&changed.to_string()).is_err(), "{changed} is {plan}");
        }
    }
    let lines = [include_str!("../golden/events.ndjson"), include_str!("../golden/roaster.ndjson")].concat();
    for entry in lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        for changed in with_lists(&entry) {
            assert!(serde_json::from_value::<Entry>(changed.clone()).is_err(), "{changed}");
            assert!(serde_json::from_value::<Event>(changed.clone()).is_err(), "{changed}");
        }
    }
    // In the order of the form's own fields, of which others may be nothing.
    let nothings = |n| vec![Value::Null; n];
    let values = ["ann", "home", "web", "2026-03-01T00:00:00Z"].map(Value::from);
    for (before, after) in (0..4).flat_map(|before| (0..8).map(move |after| (before, after))) {
        let list = Value::from([nothings(before), values.to_vec(), nothings(after)].concat());
        assert!(serde_json::from_value::<Entry>(list.clone()).is_err(), "{list}");
        assert!(serde_json::from_value::<Event>(list.clone()).is_err(), "{list}");
    }
}

#[test]
fn a_plan_of_no_kind_is_said_to_be_that() {
    let refused = Question::read(r#"{"funel":{}}"#).unwrap_err().to_string();
    assert!(refused.starts_with("plan: unknown variant `funel`"), "{refused}");
    let refused = Question::read(r#"{"stages":[]}"#).unwrap_err().to_string();
    assert_eq!(refused, "stages: invalid type: sequence, expected an object");
}

#[test]
fn an_error_says_its_place_once() {
    let place = |text: &str| Question::read(text).unwrap_err().to_string();
    let model =
        r#"{"stages":{},"model":{"name":"m","stages":["a"],"rules":[{"when":{"touchpoint":"x"},"stage":"b"}]}}"#;
    assert_eq!(place(model), "model.rules[0]: b is no stage of the model");
    assert_eq!(place(r#"{"funnel":{"steps":[]}}"#), "funnel.steps: has 0 steps, 1 to 32 are allowed");
}

#[test]
fn an_answer_echoes_its_plan() {
    let events = given(&["ann 0 ad_click", "ann 1 cart"]);
    let text = r#"[{"stages":{}},{"transitions":{},"scope":{"as_of":"1970-01-01T12:00:00Z"}},{"funnel":{"steps":[{"touchpoint":"ad_click"},{"touchpoint":"cart"}]}}]"#;
    let answers = journeys(&events).query().ask(&Question::read(text).unwrap()).unwrap();
    let json: Value = serde_json::to_value(&answers).unwrap();
    assert_eq!(json[0]["plan"], json!({"stages": {}}));
    assert_eq!(json[1]["plan"]["scope"]["as_of"], "1970-01-01T12:00:00Z");
    assert_eq!(json[1]["report"]["transitions"]["advances"], 0);
    assert_eq!(json[2]["report"]["funnel"]["converted"], 1);
    assert_eq!(json[2]["plan"]["funnel"]["steps"][1], json!({"touchpoint": "cart"}));
    let again: Vec<Answer> = serde_json::from_value(json).unwrap();
    assert_eq!(again, answers);
}

#[test]
fn a_questions_model_reads_its_stages() {
    let events = given(&["ann 0 a", "ann 1 b"]);
    let text = r#"{"funnel":{"steps":[{"stage":"low"},{"stage":"high"}]},"model":{"name":"m","stages":["low","high"],"rules":[{"when":{"touchpoint":"a"},"stage":"low"},{"when":{"touchpoint":"b"},"stage":"high"}]}}"#;
    let answers = journeys(&events).query().ask(&Question::read(text).unwrap()).unwrap();
    assert!(matches!(&answers[0].report, Report::Funnel(report) if report.converted == 1));
}

/// Questions with different scopes and models are asked in groups; each answer is that of its question alone.
#[test]
fn many_questions_are_answered_as_if_each_were_alone() {
    for seed in 0..300 {
        let events = World::new(seed).customers(3).events(20).make();
        let question = |n: u64| {
            let plan = match (seed + n) % 17 {
                0 => Question::new(any_funnel(seed + n)),
                1 => Question::new(Transitions::of_question()),
                2 => Question::new(any_retention(seed + n)),
                3 => Question::new(any_lifecycle(seed + n)),
                4 => Question::new(any_stickiness(seed + n)),
                5 => Question::new(Dwell::of_question()),
                6 => Question::new(any_sessions(seed + n)),
                7 => Question::new(any_paths(seed + n)),
                8 => Question::new(any_matches(seed + n)),
                9 => Question::new(any_conformance(seed + n)),
                10 => Question::new(any_attribution(seed + n)),
                11 => Question::new(any_experience(seed + n)),
                12 => Question::new(any_drivers(seed + n)),
                13 => Question::new(any_consistency(seed + n)),
                14 => Question::new(any_churn_rate(seed + n)),
                15 => Question::new(any_purchases(seed + n)),
                _ => Question::new(StageCounts::of_question()),
            };
            let plan = plan.scope(any_scope(seed + n / 2));
            if n.is_multiple_of(2) { plan } else { plan.model(any_model(seed + n / 3)) }
        };
        let questions: Vec<Question> = (0..6).map(question).collect();
        let query = journeys(&events).query();
        let together = query.ask(&questions).unwrap();
        let apart: Vec<Answer> =
            questions.iter().map(|q| query.ask(std::slice::from_ref(q)).unwrap().remove(0)).collect();
        for (one, other) in together.iter().zip(&apart) {
            assert_eq!(one, other, "seed {seed}");
        }
        let asked: Vec<&Question> = together.iter().map(|answer| &answer.question).collect();
        assert_eq!(asked, questions.iter().collect::<Vec<_>>(), "seed {seed}");
        let text = serde_json::to_string(&together).unwrap();
        let again: Vec<Answer> = serde_json::from_str(&text).unwrap();
        differences(&together, &again).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

#[test]
fn plans_and_models_survive_json() {
    for seed in 0..500 {
        let active = [
            Question::new(any_lifecycle(seed)),
            Question::new(any_stickiness(seed)),
            Question::new(any_lifetime_value(seed)),
            Question::new(Dwell::of(any_model(seed + 1))),
            Question::new(any_sessions(seed)),
            Question::new(any_paths(seed)),
            Question::new(any_matches(seed)),
            Question::new(any_conformance(seed)),
            Question::new(any_attribution(seed)),
            Question::new(any_experience(seed)),
            Question::new(any_conversion_rate(seed)),
            Question::new(any_churn_rate(seed)),
            Question::new(any_purchases(seed)),
            Question::new(any_drivers(seed)),
            Question::new(any_consistency(seed)),
            Question::new(any_pattern_conformance(seed)),
        ];
        for question in [Question::new(any_funnel(seed)), Question::new(any_retention(seed))].into_iter().chain(active)
        {
            let question = question.scope(any_scope(seed)).model(any_model(seed));
            let text = serde_json::to_string(&question).unwrap();
            assert_eq!(Question::read(&text).unwrap_or_else(|e| panic!("{text}: {e}")), [question], "{text}");
        }
    }
    let model = serde_json::to_string(&JourneyModel::standard()).unwrap();
    assert_eq!(serde_json::from_str::<JourneyModel>(&model).unwrap(), JourneyModel::standard());
    let moment = Scope::all().as_of(day(0.000_000_001));
    let text = serde_json::to_string(&moment).unwrap();
    assert_eq!(serde_json::from_str::<Scope>(&text).unwrap(), moment);
}

/// Two versions of a model give reports that can be told apart.
#[test]
fn reports_say_which_version_of_a_model_they_are_by() {
    let events = crate::given::given(&["ann 0 cart", "ann 1 buy"]);
    let text = |version: u32| {
        let model = serde_json::json!({"name": "shop", "version": version, "stages": ["a", "b"], "rules": [
            {"when": {"touchpoint": "cart"}, "stage": "a"}, {"when": {"touchpoint": "buy"}, "stage": "b"}]});
        let plans = ["transitions", "stages", "dwell", "conformance"];
        let questions = plans.map(|plan| serde_json::json!({plan: {}, "model": model}));
        let questions = Question::read(&serde_json::json!(questions).to_string()).unwrap();
        let answers = crate::given::journeys(&events).query().ask(&questions).unwrap();
        answers.iter().map(|answer| (answer.to_string(), serde_json::json!(answer.report))).collect::<Vec<_>>()
    };
    for ((first, of_first), (third, of_third)) in text(1).into_iter().zip(text(3)) {
        assert!(first.lines().next().unwrap().ends_with("(shop model)"), "{first}");
        assert!(third.lines().next().unwrap().ends_with("(shop model, version 3)"), "{third}");
        let version =
            |report: &serde_json::Value| report.as_object().unwrap().values().next().unwrap()["model_version"].clone();
        assert_eq!((version(&of_first), version(&of_third)), (1.into(), 3.into()));
    }
}
