//! Dense numbers for names, given once in the order of first appearance, so that questions run on numbers.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;
use indexmap::IndexSet;
use serde::{Deserialize, Serialize};

macro_rules! number_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// As an index.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

number_type!(
    /// A customer's number in one store. It means nothing outside it; [`Names`] knows whose it is.
    CustomerNo
);
number_type!(
    /// A touchpoint's number in one store.
    TouchpointNo
);
number_type!(
    /// A channel's number in one store.
    ChannelNo
);
number_type!(
    /// A property name's number in one store.
    PropertyNo
);

/// What a name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum NameKind {
    Customer,
    Touchpoint,
    Channel,
    Stage,
    Property,
}

impl NameKind {
    pub(crate) const ALL: [Self; 5] = [Self::Customer, Self::Touchpoint, Self::Channel, Self::Stage, Self::Property];
}

/// Names in the order of their numbers.
type Table = IndexSet<Arc<str>, RandomState>;

/// The tables of names. Numbers are only ever added.
#[derive(Default)]
pub(crate) struct Tables {
    customers: Table,
    touchpoints: Table,
    channels: Table,
    stages: Table,
    properties: Table,
}

impl Tables {
    fn table(&self, kind: NameKind) -> &Table {
        match kind {
            NameKind::Customer => &self.customers,
            NameKind::Touchpoint => &self.touchpoints,
            NameKind::Channel => &self.channels,
            NameKind::Stage => &self.stages,
            NameKind::Property => &self.properties,
        }
    }

    /// The number of a name, given now if it has none. A store holds at most 2^32 - 1 names of a kind.
    pub(crate) fn intern(&mut self, kind: NameKind, name: &str) -> u32 {
        let table = match kind {
            NameKind::Customer => &mut self.customers,
            NameKind::Touchpoint => &mut self.touchpoints,
            NameKind::Channel => &mut self.channels,
            NameKind::Stage => &mut self.stages,
            NameKind::Property => &mut self.properties,
        };
        let index = table.get_index_of(name).unwrap_or_else(|| table.insert_full(name.into()).0);
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// The names of a kind from a number on, in order.
    pub(crate) fn starting_at(&self, kind: NameKind, first: usize) -> impl Iterator<Item = &Arc<str>> {
        self.table(kind).iter().skip(first)
    }

    pub(crate) fn len(&self, kind: NameKind) -> usize {
        self.table(kind).len()
    }
}

/// The names behind the numbers of one store, for plans that look a name up and reports that print one.
///
/// A cheap handle: clones share the names. Look-ups lock for a moment only.
#[derive(Clone, Default)]
pub struct Names(Arc<RwLock<Tables>>);

impl Names {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find(&self, kind: NameKind, name: &str) -> Option<u32> {
        self.read().table(kind).get_index_of(name).and_then(|index| u32::try_from(index).ok())
    }

    pub(crate) fn text(&self, kind: NameKind, number: u32) -> Option<Arc<str>> {
        self.read().table(kind).get_index(number as usize).cloned()
    }

    pub(crate) fn count(&self, kind: NameKind) -> usize {
        self.read().len(kind)
    }

    /// The number of a customer, if the store has any event of theirs.
    pub fn find_customer(&self, id: &str) -> Option<CustomerNo> {
        self.find(NameKind::Customer, id).map(CustomerNo)
    }

    /// The number of a touchpoint.
    pub fn find_touchpoint(&self, name: &str) -> Option<TouchpointNo> {
        self.find(NameKind::Touchpoint, name).map(TouchpointNo)
    }

    /// The number of a channel.
    pub fn find_channel(&self, name: &str) -> Option<ChannelNo> {
        self.find(NameKind::Channel, name).map(ChannelNo)
    }

    /// The number of a property name.
    pub fn find_property(&self, name: &str) -> Option<PropertyNo> {
        self.find(NameKind::Property, name).map(PropertyNo)
    }

    /// The id of a customer. Empty for a number of another store.
    pub fn customer(&self, number: CustomerNo) -> Arc<str> {
        self.text(NameKind::Customer, number.0).unwrap_or_default()
    }

    /// The name of a touchpoint. Empty for a number of another store.
    pub fn touchpoint(&self, number: TouchpointNo) -> Arc<str> {
        self.text(NameKind::Touchpoint, number.0).unwrap_or_default()
    }

    /// The name of a channel. Empty for a number of another store.
    pub fn channel(&self, number: ChannelNo) -> Arc<str> {
        self.text(NameKind::Channel, number.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tables = self.read();
        let mut out = f.debug_struct("Names");
        for kind in NameKind::ALL {
            out.field(&format!("{kind:?}").to_lowercase(), &tables.len(kind));
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once() {
        let names = Names::default();
        let mut tables = names.write();
        assert_eq!(tables.intern(NameKind::Customer, "a"), 0);
        assert_eq!(tables.intern(NameKind::Customer, "b"), 1);
        assert_eq!(tables.intern(NameKind::Customer, "a"), 0);
        assert_eq!(tables.intern(NameKind::Touchpoint, "a"), 0);
        drop(tables);
        assert_eq!(names.find_customer("b"), Some(CustomerNo(1)));
        assert_eq!(&*names.customer(CustomerNo(1)), "b");
        assert_eq!(names.find_customer("c"), None);
        assert!(!format!("{names:?}").contains('b') || !format!("{names:?}").contains("\"b\""));
    }
}
