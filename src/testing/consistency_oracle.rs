//! Consistency, answer by answer.

use serde::Deserialize;
use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor};

use super::experience_oracle::experience;
use crate::{
    Condition, Consistency, ConsistencyGroup, ConsistencyReport, EqualityTest, Event, EventBy, Experience,
    ExperienceAnswers, JourneyModel, NotTested, Scope, Survey,
};

/// A plan as its JSON says it.
#[derive(Deserialize)]
struct Said {
    of: Survey,
    by: EventBy,
    when: Option<Condition>,
    answers: ExperienceAnswers,
    min_answers: usize,
    #[serde(default)]
    customers: bool,
}

fn mean(list: &[f64]) -> f64 {
    list.iter().sum::<f64>() / list.len() as f64
}

fn variance(list: &[f64]) -> f64 {
    let mean = mean(list);
    list.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (list.len() as f64 - 1.0)
}

/// Student's t within which 95 % lie, by the finite series for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
fn student(degrees: usize) -> f64 {
    let within = |angle: f64| {
        let (sin, cos) = angle.sin_cos();
        let first = degrees % 2;
        let (mut term, mut sum) = (if first == 1 { cos } else { 1.0 }, 0.0);
        for power in (first..).step_by(2).take_while(|power| power + 2 <= degrees) {
            sum += term;
            term *= cos * cos * (power as f64 + 1.0) / (power as f64 + 2.0);
        }
        if first == 1 { (angle + sin * sum) * std::f64::consts::FRAC_2_PI } else { sin * sum }
    };
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if within(middle) < 0.95 { low = middle } else { high = middle }
    }
    low.tan() * (degrees as f64).sqrt()
}

fn welch(groups: &[Vec<f64>]) -> Result<EqualityTest, NotTested> {
    if groups.len() < 2 {
        return Err(NotTested::TooFewGroups);
    }
    if groups.iter().any(|group| group.iter().all(|x| x.total_cmp(&group[0]).is_eq())) {
        return Err(NotTested::NoVariance);
    }
    let k = groups.len() as f64;
    let weights: Vec<f64> = groups.iter().map(|group| group.len() as f64 / variance(group)).collect();
    let sum: f64 = weights.iter().sum();
    let centre = groups.iter().zip(&weights).map(|(group, w)| w / sum * mean(group)).sum::<f64>();
    let between: f64 = groups.iter().zip(&weights).map(|(group, w)| w * (mean(group) - centre).powi(2)).sum();
    let lambda = 3.0 / (k * k - 1.0)
        * groups.iter().zip(&weights).map(|(g, w)| (1.0 - w / sum).powi(2) / (g.len() as f64 - 1.0)).sum::<f64>();
    let statistic = between / (k - 1.0) / (1.0 + 2.0 / 3.0 * (k - 2.0) * lambda);
    let p_value = FisherSnedecor::new(k - 1.0, 1.0 / lambda).unwrap().sf(statistic);
    Ok(EqualityTest { statistic, degrees: k - 1.0, degrees_within: Some(1.0 / lambda), p_value })
}

fn kruskal_wallis(groups: &[Vec<f64>]) -> Result<EqualityTest, NotTested> {
    if groups.len() < 2 {
        return Err(NotTested::TooFewGroups);
    }
    let all: Vec<f64> = groups.iter().flatten().copied().collect();
    if all.iter().all(|x| x.total_cmp(&all[0]).is_eq()) {
        return Err(NotTested::AllEqual);
    }
    let rank = |x: f64| {
        let below = all.iter().filter(|other| **other < x).count() as f64;
        let same = all.iter().filter(|other| other.total_cmp(&x).is_eq()).count() as f64;
        below + f64::midpoint(1.0, same)
    };
    // The variance of ranks between groups by that of all: with ties this is the corrected statistic.
    let ranks: Vec<f64> = all.iter().map(|x| rank(*x)).collect();
    let between: f64 = groups
        .iter()
        .map(|group| {
            let ranks: Vec<f64> = group.iter().map(|x| rank(*x)).collect();
            group.len() as f64 * (mean(&ranks) - f64::midpoint(all.len() as f64, 1.0)).powi(2)
        })
        .sum();
    let statistic = between / variance(&ranks);
    let degrees = groups.len() as f64 - 1.0;
    let p_value = ChiSquared::new(degrees).unwrap().sf(statistic);
    Ok(EqualityTest { statistic, degrees, degrees_within: None, p_value })
}

/// What the report of [`Consistency`] must say, but for rounding.
pub fn consistency(events: &[Event], plan: &Consistency, model: &JourneyModel, scope: &Scope) -> ConsistencyReport {
    let said: Said = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
    let mut same = Experience::builder().surveys([said.of]).by(said.by).list_customers();
    if let Some(when) = said.when {
        same = same.when(when);
    }
    if said.answers == ExperienceAnswers::Latest {
        same = same.latest();
    }
    let found = experience(events, &same.build().unwrap(), model, scope);
    let listed = found.listed.unwrap();
    let mut groups = Vec::new();
    let mut tested = Vec::new();
    for row in &found.rows {
        let here = listed.iter().filter(|answer| answer.group == row.group);
        let scores: Vec<f64> = here.map(|answer| f64::from(answer.feedback.score())).collect();
        let n = scores.len() as f64;
        let half = (scores.len() > 1).then(|| student(scores.len() - 1) * variance(&scores).sqrt() / n.sqrt());
        let (least, most) = (f64::from(*said.of.scores().start()), f64::from(*said.of.scores().end()));
        groups.push(ConsistencyGroup {
            group: row.group.clone(),
            answers: scores.len() as u64,
            mean: mean(&scores),
            low: half.map(|half| (mean(&scores) - half).clamp(least, most)),
            high: half.map(|half| (mean(&scores) + half).clamp(least, most)),
            tested: scores.len() >= said.min_answers,
            counts: row.score.counts.clone(),
        });
        if scores.len() >= said.min_answers {
            tested.push(scores);
        }
    }
    let (welch, kruskal_wallis) = (welch(&tested), kruskal_wallis(&tested));
    ConsistencyReport {
        of: said.of,
        by: said.by,
        answers: said.answers,
        groups,
        welch: welch.ok(),
        no_welch: welch.err(),
        kruskal_wallis: kruskal_wallis.ok(),
        no_kruskal_wallis: kruskal_wallis.err(),
        listed: said.customers.then_some(listed),
    }
}
