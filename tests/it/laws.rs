//! The laws of an analysis: chunks, threads, merging, states as JSON, names.

use journeylog::{
    Dwell, JourneyModel, Period, Plan, StageCounts, Transitions,
    testing::{World, check_laws, check_names},
};

use crate::given::{any_funnel, any_model, each_world};

fn world(seed: u64) -> Vec<journeylog::Event> {
    World::new(seed).customers(9).events(60).touchpoints(6).instants(12).make()
}

#[test]
fn funnels_keep_the_laws() {
    each_world(60, world, |seed, events| check_laws(&any_funnel(seed), events).map_err(|e| e.to_string()));
}

#[test]
fn transitions_stages_and_dwell_keep_the_laws() {
    each_world(60, world, |seed, events| {
        let stages = StageCounts::of(any_model(seed)).every(Period::DAY).list_customers();
        let moves = Transitions::of(any_model(seed)).list_customers();
        let dwell = Dwell::of(any_model(seed)).list_customers();
        check_laws(&(moves, stages, dwell), events).map_err(|e| e.to_string())
    });
}

#[test]
fn several_plans_in_one_scan_keep_the_laws() {
    each_world(60, world, |seed, events| {
        let plans: Vec<Plan> = vec![
            any_funnel(seed).into(),
            Transitions::of_question().into(),
            any_funnel(seed + 1).into(),
            StageCounts::of(any_model(seed)).into(),
        ];
        check_laws(&plans, events).map_err(|e| e.to_string())
    });
}

#[test]
fn one_scan_answers_as_several() {
    each_world(200, world, |seed, events| {
        let query = crate::given::journeys(events).query();
        let (funnel, other) = (any_funnel(seed), any_funnel(seed + 1));
        let moves = Transitions::of(any_model(seed));
        let together = query.run((&funnel, &moves, &other)).map_err(|e| e.to_string())?;
        let apart = (query.run(&funnel).unwrap(), query.run(&moves).unwrap(), query.run(&other).unwrap());
        if together == apart { Ok(()) } else { Err(format!("together {together:?}\napart {apart:?}")) }
    });
}

#[test]
fn names_of_customers_do_not_matter() {
    each_world(200, world, |seed, events| {
        let model = JourneyModel::standard();
        let plans =
            (Transitions::of(model.clone()), StageCounts::of(model.clone()).every(Period::WEEK), Dwell::of(model));
        check_names(&plans, events, seed).map_err(|e| e.to_string())?;
        let mut funnel = serde_json::to_value(any_funnel(seed)).unwrap();
        funnel.as_object_mut().unwrap().remove("customers");
        let funnel: journeylog::Funnel = serde_json::from_value(funnel).unwrap();
        check_names(&funnel, events, seed).map_err(|e| e.to_string())
    });
}
