//! Chains whose events may serve in either order if they lie at most a tolerance apart.
//!
//! Events are taken in the order of time, and each serves any of the steps that it may, also one before steps that are served
//! already: these are then no earlier than the tolerance allows. So what must be known of a chain in the making is which steps
//! are served, when it began, and until when each step that was left out may still be served. Of two that have served the same
//! steps the one that began later and whose steps may be served for longer can do all that the other can.

use std::collections::BTreeMap;

use arrayvec::ArrayVec;

use super::{
    LIMIT_STEPS,
    chain::{Reached, Rules, Trail, Walk},
};
use crate::model::{Micros, Window};

/// So many chains in the making are kept for one journey, where neither of two can do all that the other can.
pub(super) const LIMIT_CHAINS: usize = 10_000;

/// A chain in the making.
#[derive(Debug, Clone)]
struct Making<T> {
    /// When the first step's event happened, if it is served.
    entry: Option<Micros>,
    /// For each step below the highest that is served and is not served itself: until when it may be.
    open: ArrayVec<(u8, Micros), LIMIT_STEPS>,
    trail: T,
}

impl<T> Making<T> {
    /// Whether this one can do all that the other can, which has served the same steps.
    fn covers(&self, other: &Self) -> bool {
        self.entry >= other.entry && self.open.iter().zip(&other.open).all(|((_, here), (_, there))| here >= there)
    }
}

impl<T: Trail> Making<T> {
    /// What becomes of it, with these steps served, if this event serves one more.
    fn with(&self, served: u64, step: u32, (event, at): (usize, Micros), tolerance: Window) -> Option<(u64, Self)> {
        let (step, highest) = (u8::try_from(step).ok()?, u8::try_from(64 - served.leading_zeros()).ok()?);
        let mut open = self.open.clone();
        if step < highest {
            open.retain(|(left_out, _)| *left_out != step);
        } else {
            let until = at.plus(tolerance);
            open.extend((highest..step).map(|left_out| (left_out, until)));
        }
        let entry = if step == 0 { Some(at) } else { self.entry };
        Some((served | 1 << step, Self { entry, open, trail: self.trail.with(step.into(), event) }))
    }
}

impl Rules {
    /// Walks a journey. `may` says of each event and its moment which steps it may serve, as bits.
    pub(super) fn walk_tolerant<T: Trail>(
        &self,
        tolerance: Window,
        (times, words): (&[Micros], &[u64]),
        may: impl Fn(usize, Micros) -> u64,
    ) -> Walk<T> {
        let mut walk = Walk::<T>::default();
        // By the steps that are served, as bits.
        let mut all: BTreeMap<u64, Vec<Making<T>>> = BTreeMap::new();
        for (event, (&at, &word)) in times.iter().zip(words).enumerate() {
            let serves = word & may(event, at) & self.all_steps();
            if serves == 0 {
                continue;
            }
            all.values_mut().for_each(|alike| alike.retain(|making| self.can_go_on(making, at)));
            all.retain(|_, alike| !alike.is_empty());
            let mut longer = Vec::new();
            let begun = Making { entry: None, open: ArrayVec::new(), trail: T::default() };
            let known = all.iter().flat_map(|(served, alike)| alike.iter().map(move |making| (*served, making)));
            for (served, making) in known.chain([(0, &begun)]) {
                let mut steps = serves & !served;
                while steps != 0 {
                    let step = steps.trailing_zeros();
                    steps &= steps - 1;
                    longer.extend(making.with(served, step, (event, at), tolerance));
                }
            }
            // A level is noted after those below it.
            longer.sort_by_key(|(served, _)| *served);
            for (served, making) in longer {
                self.reach(&mut walk, served, &making, at);
                if served != self.all_steps() {
                    keep(all.entry(served).or_default(), making);
                }
            }
            if all.values().map(Vec::len).sum::<usize>() > LIMIT_CHAINS {
                walk.is_too_much = true;
                return walk;
            }
            // An event at the same moment may still serve in a chain that began later.
            if walk.level() == self.steps && times.get(event + 1) != Some(&at) {
                break;
            }
        }
        let whole = |served: &u64| (served & (served + 1)) == 0;
        let entries = all.iter().filter(|(served, _)| whole(served)).flat_map(|(_, alike)| alike);
        walk.open_until = entries.filter_map(|making| self.until(1, making.entry?, making.entry?)).max();
        walk
    }

    /// Whether any event from this moment on may serve.
    fn can_go_on<T>(&self, making: &Making<T>, at: Micros) -> bool {
        let in_window = making.entry.is_none_or(|entry| self.until(1, entry, entry).is_none_or(|until| at <= until));
        in_window && making.open.iter().all(|(_, until)| at <= *until)
    }

    /// Notes that a level is reached, if these steps are all up to one: for the first time, or by a chain that began later.
    fn reach<T: Trail>(&self, walk: &mut Walk<T>, served: u64, making: &Making<T>, at: Micros) {
        let level = served.trailing_ones() as usize;
        let Some(entry) = making.entry.filter(|_| served >> level == 0 && level <= self.steps) else { return };
        // The levels below are reached by the same events, and noted before.
        match walk.reached.get_mut(level - 1) {
            Some(known) if known.at == at && known.entry < entry => {
                *known = Reached { entry, at, trail: making.trail.clone() };
            }
            Some(_) => {}
            None => walk.reached.push(Reached { entry, at, trail: making.trail.clone() }),
        }
    }
}

/// Takes in a chain in the making, unless one that has served the same steps can do all that it can.
fn keep<T>(alike: &mut Vec<Making<T>>, making: Making<T>) {
    if !alike.iter().any(|known| known.covers(&making)) {
        alike.retain(|known| !making.covers(known));
        alike.push(making);
    }
}
