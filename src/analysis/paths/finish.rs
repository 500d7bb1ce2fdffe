//! From the tree of paths to the report.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use arrayvec::ArrayVec;

use super::{
    LIMIT_PATH_DEPTH, OtherPaths, PathCustomer, PathDirection, PathLink, PathNode, PathPosition, PathStart,
    PathVariant, PathsOf, PathsReport,
    state::{BoundPaths, PathsState, Starts, Step},
};
use crate::{
    analysis::{Rate, listed::by_id},
    journey::{ChannelNo, Names, TouchpointNo},
};

/// The names of the labels that occur, in order: a label's rank is its place among them.
struct Labels {
    names: Vec<String>,
    ranks: HashMap<u32, u32>,
}

impl Labels {
    fn of(bound: &BoundPaths, tree: &[Step], names: &Names) -> Self {
        let mut labels: Vec<u32> = tree.iter().map(|step| step.label).collect();
        labels.sort_unstable();
        labels.dedup();
        let name = |label: u32| match bound.plan.of {
            PathsOf::Touchpoint => names.touchpoint(TouchpointNo(label)).to_string(),
            PathsOf::Channel => names.channel(ChannelNo(label)).to_string(),
            PathsOf::Stage | PathsOf::Groups(_) => bound.labels.get(label as usize).cloned().unwrap_or_default(),
        };
        let mut named: Vec<(String, u32)> = labels.into_iter().map(|label| (name(label), label)).collect();
        named.sort_unstable();
        let ranks = (0..).zip(&named).map(|(rank, (_, label))| (*label, rank)).collect();
        Self { names: named.into_iter().map(|(name, _)| name).collect(), ranks }
    }

    fn rank(&self, step: &Step) -> u32 {
        self.ranks.get(&step.label).copied().unwrap_or_default()
    }

    fn name(&self, rank: u32) -> String {
        self.names.get(rank as usize).cloned().unwrap_or_default()
    }
}

/// What is counted of the paths that have a step at a position.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    paths: u64,
    ended: u64,
    open: u64,
    beyond: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.paths += other.paths;
        self.ended += other.ended;
        self.open += other.open;
        self.beyond += other.beyond;
    }
}

/// The ranks of the labels of a variant, in the order of time.
type Steps = ArrayVec<u32, { LIMIT_PATH_DEPTH as usize }>;

pub(super) fn report(bound: &BoundPaths, state: &PathsState, names: &Names) -> PathsReport {
    let labels = Labels::of(bound, &state.tree, names);
    let mut variants: Vec<(usize, &Step)> = (1..).zip(&state.tree).filter(|(_, step)| step.paths > 0).collect();
    let all = variants.len();
    // Only those that are listed are put in order.
    let order = |one: &(usize, &Step), other: &(usize, &Step)| {
        let more = Reverse(one.1.paths).cmp(&Reverse(other.1.paths));
        more.then_with(|| steps(bound, state, &labels, one.0).cmp(&steps(bound, state, &labels, other.0)))
    };
    if bound.plan.variants < all {
        variants.select_nth_unstable_by(bound.plan.variants, order);
        variants.truncate(bound.plan.variants);
    }
    variants.sort_unstable_by(order);
    let listed: HashMap<usize, u64> = variants.iter().zip(1..).map(|((place, _), rank)| (*place, rank)).collect();
    let variant = |(place, step): (usize, &Step)| PathVariant {
        steps: steps(bound, state, &labels, place).into_iter().map(|rank| labels.name(rank)).collect(),
        paths: Rate::new(step.paths, state.paths),
        customers: step.customers,
        open: step.open,
        beyond: step.beyond,
    };
    let variants: Vec<PathVariant> = variants.into_iter().map(variant).collect();
    let shown = |count: fn(&PathVariant) -> u64| variants.iter().map(count).sum::<u64>();
    let beyond: u64 = state.tree.iter().map(|step| step.beyond).sum();
    let open: u64 = state.tree.iter().map(|step| step.open).sum();
    let other_variants = OtherPaths {
        variants: (all - variants.len()) as u64,
        paths: Rate::new(state.paths - shown(|variant| variant.paths.some), state.paths),
        open: open - shown(|variant| variant.open),
        beyond: beyond - shown(|variant| variant.beyond),
    };
    let both = bound.has_start() && bound.plan.end.is_some();
    PathsReport {
        direction: if bound.is_backward() { PathDirection::Backward } else { PathDirection::Forward },
        paths: state.paths,
        customers: state.customers,
        without_end: both.then_some(state.without_end),
        without_end_open: both.then_some(state.without_end_open),
        positions: positions(bound, &state.tree, &labels),
        variants,
        other_variants,
        listed: bound.plan.customers.then(|| customers(bound, state, &labels, &listed, names)),
        listed_without_end: (both && bound.plan.customers).then(|| {
            by_id(state.listed_without_end.iter().copied(), names, |customer, Starts { count, open, first }| {
                PathStart { customer, starts: count, open, first: first.to_datetime() }
            })
        }),
    }
}

/// The steps of a variant, by where its last one stands.
fn steps(bound: &BoundPaths, state: &PathsState, labels: &Labels, place: usize) -> Steps {
    let mut steps = Steps::new();
    let mut next = place;
    while let Some(step) = next.checked_sub(1).and_then(|place| state.tree.get(place)) {
        if steps.try_push(labels.rank(step)).is_err() {
            break;
        }
        next = step.before;
    }
    if !bound.is_backward() {
        steps.reverse();
    }
    steps
}

/// The place of a label among the nodes of a position; all that are not listed come behind.
type Place = usize;

fn positions(bound: &BoundPaths, tree: &[Step], labels: &Labels) -> Vec<PathPosition> {
    // A step stands behind the one before it.
    let mut through: Vec<u64> = tree.iter().map(|step| step.paths).collect();
    for (place, step) in tree.iter().enumerate().rev() {
        let paths = through.get(place).copied().unwrap_or_default();
        let before = step.before.checked_sub(1).and_then(|before| through.get_mut(before));
        before.into_iter().for_each(|before| *before += paths);
    }
    let mut position_of: Vec<usize> = Vec::with_capacity(tree.len());
    let mut counts: Vec<BTreeMap<u32, Count>> = Vec::new();
    for (step, &paths) in tree.iter().zip(&through) {
        let before = step.before.checked_sub(1).and_then(|before| position_of.get(before));
        let position = before.map_or(0, |before| before + 1);
        position_of.push(position);
        if counts.len() <= position {
            counts.resize_with(position + 1, BTreeMap::new);
        }
        if let Some(counts) = counts.get_mut(position) {
            let Step { beyond, open, .. } = *step;
            let count = Count { paths, ended: step.paths - beyond - open, open, beyond };
            counts.entry(labels.rank(step)).or_default().add(count);
        }
    }
    let nodes: Vec<(Vec<PathNode>, HashMap<u32, Place>)> =
        counts.iter().map(|counts| nodes(counts, bound.plan.nodes, labels)).collect();
    let place = |position: usize, step: &Step| {
        let known = nodes.get(position).and_then(|(_, places)| places.get(&labels.rank(step)));
        known.copied().unwrap_or(Place::MAX)
    };
    let mut links: Vec<BTreeMap<(Place, Place), u64>> = vec![BTreeMap::new(); counts.len()];
    for ((step, &paths), &position) in tree.iter().zip(&through).zip(&position_of) {
        let before = step.before.checked_sub(1).and_then(|before| tree.get(before));
        if let (Some(before), Some(links)) = (before, position.checked_sub(1).and_then(|p| links.get_mut(p))) {
            *links.entry((place(position - 1, before), place(position, step))).or_default() += paths;
        }
    }
    let label = |position: usize, place: Place| nodes.get(position)?.0.get(place)?.label.clone();
    let link = |position: usize, ((near, far), paths): ((Place, Place), u64)| {
        let (near, far) = (label(position, near), label(position + 1, far));
        let (from, to) = if bound.is_backward() { (far, near) } else { (near, far) };
        PathLink { from, to, paths }
    };
    let links: Vec<Vec<PathLink>> = links
        .into_iter()
        .enumerate()
        .map(|(position, links)| links.into_iter().map(|one| link(position, one)).collect())
        .collect();
    let made = nodes.into_iter().zip(links).zip(1..);
    made.map(|(((nodes, _), links), position)| PathPosition {
        position,
        paths: nodes.iter().map(|node| node.paths).sum(),
        nodes,
        links,
    })
    .collect()
}

/// The most frequent labels of a position, and all others together; with the places of the former.
fn nodes(counts: &BTreeMap<u32, Count>, limit: usize, labels: &Labels) -> (Vec<PathNode>, HashMap<u32, Place>) {
    let mut ranked: Vec<(u32, Count)> = counts.iter().map(|(rank, count)| (*rank, *count)).collect();
    // They are in the order of their names.
    ranked.sort_by_key(|(_, count)| Reverse(count.paths));
    let others = ranked.split_off(limit.min(ranked.len()));
    let node = |label: Option<String>, labels: u64, Count { paths, ended, open, beyond }: Count| PathNode {
        label,
        labels,
        paths,
        ended,
        open,
        beyond,
    };
    let places = ranked.iter().enumerate().map(|(place, (rank, _))| (*rank, place)).collect();
    let mut nodes: Vec<PathNode> =
        ranked.iter().map(|(rank, count)| node(Some(labels.name(*rank)), 1, *count)).collect();
    if !others.is_empty() {
        let mut sum = Count::default();
        others.iter().for_each(|(_, count)| sum.add(*count));
        nodes.push(node(None, others.len() as u64, sum));
    }
    (nodes, places)
}

/// Who took which variants, by id and then by when they first did.
fn customers(
    bound: &BoundPaths,
    state: &PathsState,
    labels: &Labels,
    variants: &HashMap<usize, u64>,
    names: &Names,
) -> Vec<PathCustomer> {
    let mut customers = Vec::with_capacity(state.listed.len());
    for one in &state.listed {
        let Some(customer) = names.customer_id(one.customer) else { continue };
        customers.push(PathCustomer {
            customer,
            variant: variants.get(&one.step).copied(),
            steps: steps(bound, state, labels, one.step).into_iter().map(|rank| labels.name(rank)).collect(),
            paths: one.paths,
            open: one.open,
            beyond: one.beyond,
            first: one.first.to_datetime(),
        });
    }
    customers.sort_unstable_by(|a, b| (&a.customer, a.first, &a.steps).cmp(&(&b.customer, b.first, &b.steps)));
    customers
}
