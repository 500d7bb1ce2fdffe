//! Which ids are one customer: what links say of them, and journeys put together by it.

use std::sync::Arc;

use super::{
    Chunk, Columns, CustomerNo, NameKind, Names, Needs, Part, PropertyColumn, Source, TouchpointNo, columns::offset,
};
use crate::model::{LINKED_TO, Micros, PropertyValue, Reserved};

/// What an entry of the log says of two ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) seq: u64,
    pub(crate) at: Micros,
    pub(crate) from: CustomerNo,
    pub(crate) to: CustomerNo,
    /// Whether they are one customer.
    is_link: bool,
}

/// Under which numbers the rows of a store are found that are no events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ReservedNumbers {
    pub(crate) link: Option<TouchpointNo>,
    pub(crate) unlink: Option<TouchpointNo>,
    pub(crate) profile: Option<TouchpointNo>,
    linked_to: Option<u32>,
}

impl ReservedNumbers {
    pub(crate) fn of(names: &Names) -> Self {
        let find = |kind: Reserved| names.find_touchpoint(kind.as_str());
        Self {
            link: find(Reserved::Link),
            unlink: find(Reserved::Unlink),
            profile: find(Reserved::Profile),
            linked_to: names.find(NameKind::Property, LINKED_TO),
        }
    }

    /// Whether there may be rows that are no events.
    pub(crate) fn is_any(self) -> bool {
        self.link.or(self.unlink).or(self.profile).is_some()
    }

    /// How many of them there are.
    pub(crate) fn count(self) -> usize {
        [self.link, self.unlink, self.profile].into_iter().flatten().count()
    }

    pub(crate) fn contains(self, touchpoint: TouchpointNo) -> bool {
        let Self { link, unlink, profile, linked_to: _ } = self;
        [link, unlink, profile].contains(&Some(touchpoint))
    }

    /// Whether a touchpoint is that of links, or of their undoing.
    pub(crate) fn is_of_links(self, touchpoint: TouchpointNo) -> bool {
        [self.link, self.unlink].contains(&Some(touchpoint))
    }

    /// What must be read to find what is said of ids.
    pub(crate) fn needs(self) -> Needs {
        let mut needs = Needs { times: true, seqs: true, touchpoints: true, ..Needs::default() };
        self.linked_to.into_iter().for_each(|property| needs.properties.add(property));
        needs
    }

    /// Adds what is said in some columns. Of an id that has no name any more nothing is said.
    pub(crate) fn said_in(self, columns: &Columns, names: &Names, said: &mut Vec<Said>) {
        let Some(column) = self.linked_to.and_then(|property| columns.properties.get(&property)) else { return };
        let mut numbers: Vec<Option<Option<CustomerNo>>> = vec![None; column.values.len()];
        let mut of_value = |column: &PropertyColumn, code: u32| {
            let place = numbers.get_mut(code as usize)?;
            *place.get_or_insert_with(|| match column.values.get(code as usize) {
                Some(PropertyValue::Text(to)) => names.find_customer(to),
                _ => None,
            })
        };
        for (row, code) in column.within(0..columns.rows()) {
            let journey = columns.starts.partition_point(|&start| start <= offset(row)).checked_sub(1);
            let from = journey.and_then(|journey| columns.customers.get(journey)).copied();
            let place = (columns.touchpoints.get(row), columns.seqs.get(row), columns.times.get(row));
            if let (Some(from), Some(to), (Some(touchpoint), Some(seq), Some(at))) =
                (from, of_value(column, code), place)
                && self.is_of_links(touchpoint)
            {
                said.push(Said { seq, at, from, to, is_link: Some(touchpoint) == self.link });
            }
        }
    }
}

/// The times of the first and the last event in some columns; entries that are none do not count.
pub(crate) fn event_times(columns: &Columns, reserved: ReservedNumbers) -> Option<(Micros, Micros)> {
    let mut touchpoints = columns.touchpoints.to_vec().into_iter();
    let mut found: Option<(Micros, Micros)> = None;
    columns.times.for_each(0..columns.rows(), |time| {
        if touchpoints.next().is_none_or(|touchpoint| !reserved.contains(touchpoint)) {
            let (first, last) = found.unwrap_or((time, time));
            found = Some((first.min(time), last.max(time)));
        }
    });
    found
}

/// Who is one customer with whom, as far as a question sees.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Identities {
    /// Ids other than the one that their customer goes by, in order, each with that one.
    others: Vec<(CustomerNo, CustomerNo)>,
    /// The same the other way round.
    of: Vec<(CustomerNo, CustomerNo)>,
}

impl Identities {
    /// By all of this that was known at a sequence, and said by a time.
    pub(crate) fn by<'a>(
        said: impl Iterator<Item = &'a Said>,
        known_at: Option<u64>,
        end: Option<Micros>,
        names: &Names,
    ) -> Self {
        let hidden = names.hidden();
        let is_seen = |id: CustomerNo| hidden.binary_search(&id.0).is_err();
        let is_known =
            |said: &&Said| known_at.is_none_or(|known_at| said.seq <= known_at) && end.is_none_or(|end| said.at <= end);
        let is_of_seen = |said: &&Said| is_seen(said.from) && is_seen(said.to);
        let mut known: Vec<&Said> = said.filter(is_known).filter(is_of_seen).collect();
        // What was said last of two ids holds.
        let pair = |said: &Said| (said.from.min(said.to), said.from.max(said.to));
        known.sort_unstable_by_key(|said| (pair(said), said.at, said.seq));
        let latest = known.chunk_by(|a, b| pair(a) == pair(b)).filter_map(<[_]>::last);
        let links: Vec<(CustomerNo, CustomerNo)> =
            latest.filter(|said| said.is_link).map(|said| (said.from, said.to)).collect();
        Self::of_links(&links, names)
    }

    /// The groups that these links join.
    fn of_links(links: &[(CustomerNo, CustomerNo)], names: &Names) -> Self {
        let mut ids: Vec<CustomerNo> = links.iter().flat_map(|(from, to)| [*from, *to]).collect();
        ids.sort_unstable();
        ids.dedup();
        let place = |id: CustomerNo| ids.binary_search(&id).unwrap_or_default();
        let mut joined = Joined::new(ids.len());
        let mut is_from = vec![false; ids.len()];
        for (from, to) in links {
            joined.join(place(*from), place(*to));
            if let Some(is_from) = is_from.get_mut(place(*from)) {
                *is_from = true;
            }
        }
        // Of each group its ids, those that are linked to and from nowhere first.
        let linked = ids.iter().zip(&is_from).enumerate();
        let mut linked: Vec<Linked> =
            linked.map(|(place, (&id, &is_from))| Linked { group: joined.root(place), is_from, id }).collect();
        linked.sort_unstable();
        let mut others = Vec::new();
        for group in linked.chunk_by(|a, b| a.group == b.group) {
            // In a circle all are linked from somewhere: then any of them may be the one.
            let first = match group.chunk_by(|a, b| a.is_from == b.is_from).next() {
                Some([only]) => Some(only),
                several => several.and_then(|several| several.iter().min_by_key(|linked| names.customer(linked.id))),
            };
            let Some(customer) = first.map(|linked| linked.id) else { continue };
            let ids = group.iter().map(|linked| linked.id);
            others.extend(ids.filter(|id| *id != customer).map(|other| (other, customer)));
        }
        others.sort_unstable();
        let mut of: Vec<(CustomerNo, CustomerNo)> =
            others.iter().map(|(other, customer)| (*customer, *other)).collect();
        of.sort_unstable();
        Self { others, of }
    }

    /// Whether every id is a customer of its own.
    pub(crate) fn is_empty(&self) -> bool {
        self.others.is_empty()
    }

    /// The id by which an id's customer goes.
    pub(crate) fn customer(&self, id: CustomerNo) -> CustomerNo {
        let place = self.others.binary_search_by_key(&id, |(other, _)| *other);
        place.ok().and_then(|place| self.others.get(place)).map_or(id, |(_, customer)| *customer)
    }

    /// All ids of a customer, the one that they go by first.
    pub(crate) fn ids(&self, customer: CustomerNo) -> impl Iterator<Item = CustomerNo> {
        let first = self.of.partition_point(|(of, _)| *of < customer);
        let others = self.of.get(first..).unwrap_or_default().iter().take_while(move |(of, _)| *of == customer);
        std::iter::once(customer).chain(others.map(|(_, other)| *other))
    }

    /// The ids from one to another that customers do not go by, in order.
    pub(crate) fn others_within(&self, (first, last): (CustomerNo, CustomerNo)) -> impl Iterator<Item = CustomerNo> {
        let from = self.others.partition_point(|(other, _)| *other < first);
        let others = self.others.get(from..).unwrap_or_default().iter();
        others.take_while(move |(other, _)| *other <= last).map(|(other, _)| *other)
    }

    /// The journeys of sources put together, each under its customer's id. Times and sequences must have been read.
    pub(crate) fn put_together(&self, sources: &[Source], needs: &Needs) -> Columns {
        let mut pieces = Vec::new();
        for (place, source) in (0_u32..).zip(sources) {
            let part = Part::from(source);
            let journeys = source.columns.journeys().skip(part.journeys.start).take(part.journeys.len());
            pieces.extend(journeys.map(|(id, rows)| (self.customer(id), place, rows)));
        }
        let chunk = Chunk::put_together(sources.iter().map(Part::from).collect(), pieces);
        chunk.gather(0..chunk.len(), needs)
    }

    /// Of some columns the journeys of other ids alone, each under its customer's id.
    pub(crate) fn others_in(&self, columns: &Arc<Columns>, needs: &Needs) -> Option<Columns> {
        let within = (*columns.customers.first()?, *columns.customers.last()?);
        let piece = |other: CustomerNo| {
            let journey = columns.customers.binary_search(&other).ok()?;
            Some((self.customer(other), 0, rows_of(columns, journey)?))
        };
        let pieces: Vec<_> = self.others_within(within).filter_map(piece).collect();
        if pieces.is_empty() {
            return None;
        }
        let chunk = Chunk::put_together(vec![Part::whole(columns)], pieces);
        Some(chunk.gather(0..chunk.len(), needs))
    }
}

fn rows_of(columns: &Columns, journey: usize) -> Option<std::ops::Range<usize>> {
    Some(*columns.starts.get(journey)? as usize..*columns.starts.get(journey.checked_add(1)?)? as usize)
}

/// An id that links join to others; in the order of groups, and in each of those that are linked from nowhere first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Linked {
    group: usize,
    is_from: bool,
    id: CustomerNo,
}

/// Places joined into groups: each points to another of its group, and one to itself.
struct Joined(Vec<usize>);

impl Joined {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&mut self, place: usize) -> usize {
        let mut root = place;
        while let Some(next) = self.0.get(root).copied().filter(|next| *next != root) {
            root = next;
        }
        let mut here = place;
        while let Some(next) = self.0.get_mut(here).filter(|next| **next != root) {
            here = std::mem::replace(next, root);
        }
        root
    }

    /// The smaller place becomes the root, so that the groups do not depend on the order of links.
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if let Some(root) = self.0.get_mut(a.max(b)) {
            *root = a.min(b);
        }
    }
}
