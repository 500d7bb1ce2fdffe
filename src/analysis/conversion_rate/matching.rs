//! Which event follows which exposure.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{Micros, Window};

/// The start of a period, and a group.
pub(super) type Place = (Micros, u32);

/// An event that is an exposure, or wanted, or both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    pub(super) at: Micros,
    pub(super) is_exposure: bool,
    pub(super) is_wanted: bool,
    /// Whether it lies in the range.
    pub(super) counts: bool,
    pub(super) place: Place,
    /// The place of its group among others.
    pub(super) rank: u32,
}

fn is_over(exposed: Micros, at: Micros, window: Option<Window>) -> bool {
    window.is_some_and(|window| exposed.plus(window) < at)
}

/// Hands out each exposure that counts with the time of its follower.
///
/// Windows are all as long, so the oldest open exposure is the first to close: to serve it first loses none. At one instant
/// only a lone event can find nobody to serve but itself; of several, some order serves as many as there are.
pub(super) fn by_exposure(events: &[Met], window: Option<Window>, mut out: impl FnMut(&Met, Option<Micros>)) {
    let mut open: VecDeque<Met> = VecDeque::new();
    let mut out = |met: &Met, followed: Option<Micros>| {
        if met.counts {
            out(met, followed);
        }
    };
    for tied in events.chunk_by(|a, b| a.at == b.at) {
        let Some(at) = tied.first().map(|met| met.at) else { continue };
        while let Some(met) = open.pop_front_if(|met| is_over(met.at, at, window)) {
            out(&met, None);
        }
        let wanted = tied.iter().filter(|met| met.is_wanted).count();
        let mut left = wanted;
        while left > 0
            && let Some(met) = open.pop_front()
        {
            out(&met, Some(at));
            left -= 1;
        }
        let mut fresh: Vec<Met> = tied.iter().copied().filter(|met| met.is_exposure).collect();
        fresh.sort_by_key(|met| met.rank);
        for met in fresh {
            if left > 0 && !(wanted == 1 && met.is_wanted) {
                out(&met, Some(at));
                left -= 1;
            } else {
                open.push_back(met);
            }
        }
    }
    open.iter().for_each(|met| out(met, None));
}

/// Hands out each exposure that counts with the time of the first event that follows it, which others may share.
pub(super) fn by_cart(events: &[Met], window: Option<Window>, mut out: impl FnMut(&Met, Option<Micros>)) {
    let mut next: Option<Micros> = None;
    for tied in events.chunk_by(|a, b| a.at == b.at).rev() {
        let Some(at) = tied.first().map(|met| met.at) else { continue };
        let wanted = tied.iter().filter(|met| met.is_wanted).count();
        for met in tied.iter().filter(|met| met.is_exposure && met.counts) {
            let is_at_once = wanted > usize::from(met.is_wanted);
            let first = if is_at_once { Some(at) } else { next };
            out(met, first.filter(|first| !is_over(at, *first, window)));
        }
        if wanted > 0 {
            next = Some(at);
        }
    }
}

/// A customer's exposures of one kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    /// The latest instant of exposure, how many there were, and whether one of them is wanted itself.
    last: (Micros, u32, bool),
    before: Option<Micros>,
    /// The exposure that was followed, and when.
    served: Option<(Micros, Micros)>,
    is_open: bool,
}

impl Cell {
    fn expose(cell: &mut Option<Self>, met: &Met) -> bool {
        let (at, is_wanted) = (met.at, met.is_wanted);
        let Some(known) = cell else {
            *cell = Some(Self { last: (at, 1, is_wanted), before: None, served: None, is_open: true });
            return true;
        };
        if known.last.0 == at {
            known.last = (at, known.last.1.saturating_add(1), known.last.2 || is_wanted);
        } else {
            (known.before, known.last) = (Some(known.last.0), (at, 1, is_wanted));
        }
        let opens = known.served.is_none() && !known.is_open;
        known.is_open |= opens;
        opens
    }

    /// Lets so many wanted events of one instant follow; says whether others still may.
    fn follow(&mut self, at: Micros, wanted: usize, window: Option<Window>) -> bool {
        let (last, count, is_wanted) = self.last;
        let is_itself = last == at && count == 1 && wanted == 1 && is_wanted;
        let exposed = if is_itself { self.before } else { Some(last) };
        if self.served.is_none()
            && let Some(exposed) = exposed.filter(|exposed| !is_over(*exposed, at, window))
        {
            self.served = Some((exposed, at));
        }
        self.is_open = self.served.is_none() && !is_over(last, at, window);
        self.is_open
    }

    /// The exposure that counts, and when it was followed.
    fn outcome(&self) -> (Micros, Option<Micros>) {
        self.served.map_or((self.last.0, None), |(exposed, followed)| (exposed, Some(followed)))
    }
}

/// Hands out a customer's exposure, and that of each place, with the time of its follower.
pub(super) fn by_customer(
    events: &[Met],
    window: Option<Window>,
    is_told_apart: bool,
    mut out: impl FnMut(Option<Place>, Micros, Option<Micros>),
) {
    let mut total: Option<Cell> = None;
    let mut cells: BTreeMap<Place, Option<Cell>> = BTreeMap::new();
    let mut open: Vec<Place> = Vec::new();
    for tied in events.chunk_by(|a, b| a.at == b.at) {
        for met in tied.iter().filter(|met| met.is_exposure && met.counts) {
            Cell::expose(&mut total, met);
            if is_told_apart && Cell::expose(cells.entry(met.place).or_default(), met) {
                open.push(met.place);
            }
        }
        let wanted = tied.iter().filter(|met| met.is_wanted).count();
        let (Some(at), Some(total)) = (tied.first().map(|met| met.at), &mut total) else { continue };
        if wanted > 0 {
            total.follow(at, wanted, window);
            open.retain(|place| {
                cells.get_mut(place).and_then(Option::as_mut).is_some_and(|cell| cell.follow(at, wanted, window))
            });
        }
    }
    let all = total.map(|cell| (None, cell)).into_iter();
    for (place, cell) in all.chain(cells.into_iter().filter_map(|(place, cell)| Some((Some(place), cell?)))) {
        let (exposed, followed) = cell.outcome();
        out(place, exposed, followed);
    }
}
