//! Dense numbers for names, given once in the order of first appearance, so that questions run on numbers.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};

use super::name_table::{NameTable, hash_name};
use crate::model::CustomerId;

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

/// The tables of names. Numbers are only ever added, and names only taken away from customers who are erased.
#[derive(Default)]
pub(crate) struct Tables {
    customers: NameTable,
    touchpoints: NameTable,
    channels: NameTable,
    stages: NameTable,
    properties: NameTable,
    /// The numbers of customers whose events are not to be seen, in order.
    hidden: Arc<[u32]>,
}

impl Tables {
    fn table(&self, kind: NameKind) -> &NameTable {
        match kind {
            NameKind::Customer => &self.customers,
            NameKind::Touchpoint => &self.touchpoints,
            NameKind::Channel => &self.channels,
            NameKind::Stage => &self.stages,
            NameKind::Property => &self.properties,
        }
    }

    fn table_mut(&mut self, kind: NameKind) -> &mut NameTable {
        match kind {
            NameKind::Customer => &mut self.customers,
            NameKind::Touchpoint => &mut self.touchpoints,
            NameKind::Channel => &mut self.channels,
            NameKind::Stage => &mut self.stages,
            NameKind::Property => &mut self.properties,
        }
    }

    /// The number of a name, given now if it has none. A store holds at most 2^32 - 1 names of a kind.
    pub(crate) fn intern(&mut self, kind: NameKind, name: &str) -> u32 {
        self.table_mut(kind).intern(name, hash_name(name)).0
    }

    /// The same for many names with their hashes ([`hash_name`]).
    pub(crate) fn intern_all(&mut self, kind: NameKind, names: &NameTable, hashes: &[u64]) -> Vec<u32> {
        self.table_mut(kind).intern_all(names, hashes)
    }

    /// The names of a kind from a number on, in order.
    pub(crate) fn starting_at(&self, kind: NameKind, first: usize) -> impl Iterator<Item = &str> {
        let table = self.table(kind);
        (first..table.len()).filter_map(|number| table.name(number))
    }

    /// Takes customers' names away, and hides what bears the numbers.
    pub(crate) fn forget_all(&mut self, customers: impl IntoIterator<Item = CustomerNo>) {
        customers.into_iter().for_each(|customer| self.customers.forget(customer.0));
        self.hide_nameless();
    }

    /// Customers with a name of whom nothing was seen, by their numbers.
    pub(crate) fn customers_not_seen(&self, seen: &[bool]) -> Vec<CustomerNo> {
        let named =
            (0..).map(CustomerNo).zip(self.starting_at(NameKind::Customer, 0)).filter(|(_, name)| !name.is_empty());
        named.map(|(number, _)| number).filter(|number| seen.get(number.index()) != Some(&true)).collect()
    }

    /// Passes over a number whose name was taken away before the names were written.
    pub(crate) fn skip(&mut self, kind: NameKind) -> u32 {
        self.table_mut(kind).skip()
    }

    /// Hides the events of all customers without a name.
    pub(crate) fn hide_nameless(&mut self) {
        self.hidden = self.customers.nameless().iter().copied().collect();
    }

    /// How many customers have lost their names.
    pub(crate) fn nameless(&self) -> usize {
        self.customers.nameless().len()
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
        self.read().table(kind).find(name, hash_name(name))
    }

    pub(crate) fn text(&self, kind: NameKind, number: u32) -> Option<Arc<str>> {
        self.read().table(kind).name(number as usize).map(Arc::from)
    }

    pub(crate) fn count(&self, kind: NameKind) -> usize {
        self.read().len(kind)
    }

    /// The numbers of customers whose events are not to be seen, in order.
    pub(crate) fn hidden(&self) -> Arc<[u32]> {
        Arc::clone(&self.read().hidden)
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

    /// The same as an id; `None` also for somebody who has been erased meanwhile, whom lists leave out.
    pub(crate) fn customer_id(&self, number: CustomerNo) -> Option<CustomerId> {
        CustomerId::new(self.customer(number)).ok()
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
        for i in 0..5_000 {
            assert_eq!(names.write().intern(NameKind::Customer, &format!("c{i}")), i + 2);
        }
        assert_eq!(names.find_customer("c4999"), Some(CustomerNo(5_001)));
        let (list, mut many) = (["c7", "new", "a", "newer"], NameTable::default());
        assert_eq!(list.map(|name| many.intern(name, hash_name(name))), [0, 1, 2, 3].map(|place| (place, true)));
        assert!(many.iter().eq(list));
        let numbers = names.write().intern_all(NameKind::Customer, &many, &list.map(hash_name));
        assert_eq!(numbers, [9, 5_002, 0, 5_003]);
        assert_eq!(&*names.customer(CustomerNo(9_999)), "");
        names.write().forget_all([CustomerNo(1)]);
        assert_eq!((names.find_customer("b"), &*names.customer(CustomerNo(1)), &*names.hidden()), (None, "", &[1][..]));
        assert_eq!(names.find_customer("a"), Some(CustomerNo(0)));
        assert_eq!(names.write().intern(NameKind::Customer, "b"), 5_004, "the number is not given again");
        assert!(!format!("{names:?}").contains('b') || !format!("{names:?}").contains("\"b\""));
    }
}
