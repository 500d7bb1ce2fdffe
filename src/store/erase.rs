//! Forgetting a customer when told to, and letting one back in.

use std::collections::{BTreeMap, BTreeSet};

use super::{Erasure, Store, shared::Shared};
use crate::{
    error::Result,
    journey::{CustomerNo, Needs, ReservedNumbers},
    model::{CustomerId, Micros},
};

impl Store {
    /// Erases a customer: everything that the store holds on them is out of every answer at once, also of snapshots taken
    /// before, and is not appended again: events that come late are not stored, and the receipt says so. That is power-safe
    /// when this returns, whatever the store's durability. All ids that are [linked](crate::Link) to the customer's now are
    /// erased with it.
    ///
    /// It is gone from the disk when the store is [compacted](Self::compact): by itself after ten seconds without an
    /// append, and after a day at the latest if the store is open; or when that is called. What is kept is an
    /// [`Erasure`], which says what was erased and when, and not who: of the id a fingerprint stays, made with a key that
    /// stands in the store too, by which the customer is known again if they come back. Whoever has the store can find out
    /// whether a certain id was erased, and nothing more. A backup made before holds the customer until it is deleted.
    ///
    /// A customer whom the store does not know is erased too, against events that come late.
    ///
    /// # Errors
    /// `InvalidValue` if this is no id; `Damaged` or `Io` if the customer's journey could not be read; `Poisoned`, `Full`
    /// or `Io` if the erasure could not be written.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = journeylog::Store::open(dir.path().join("shop.journey"))?;
    /// use journeylog::Event;
    /// let view = Event::at(chrono::Utc::now(), "c-42", "product_view");
    /// store.append(view.clone())?;
    /// assert_eq!(store.erase("c-42")?.events, 1);
    /// assert!(store.customer("c-42")?.is_none());
    ///
    /// assert_eq!(store.append(view.clone())?.erased(), [0], "it came late");
    /// store.compact()?;
    /// assert!(store.erasure("c-42").is_some_and(|erasure| erasure.compacted_at.is_some()));
    ///
    /// assert!(store.readmit("c-42")?);
    /// assert_eq!(store.append(view)?.stored(), 1);
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn erase(&self, customer: &str) -> Result<Erasure> {
        self.shared().erase(&CustomerId::new(customer)?)
    }

    /// What was erased of a customer, and when; `None` if they were never erased.
    pub fn erasure(&self, customer: &str) -> Option<Erasure> {
        self.shared().erasures().of(customer)
    }

    /// All erasures, in the order of their times.
    pub fn erasures(&self) -> Vec<Erasure> {
        self.shared().erasures().list()
    }

    /// Lets a customer back in who was erased: events appended from now on are stored. What was erased stays so; if it is
    /// still on the disk, the store is [compacted](Self::compact) first. False if the customer is not erased.
    ///
    /// # Errors
    /// Those of [`compact`](Self::compact), and `Poisoned`, `Full` or `Io` if this could not be written.
    pub fn readmit(&self, customer: &str) -> Result<bool> {
        let shared = self.shared();
        loop {
            {
                let mut writer = shared.writer();
                writer.check()?;
                shared.reopen_if_full(&mut writer)?;
                let mut erasures = shared.erasures();
                if !erasures.is_pending(customer) {
                    let now = writer.now();
                    return erasures.lift(&*shared.log.engine(), customer, now);
                }
            }
            self.compact()?;
        }
    }
}

/// A customer's ids, with how many entries name each.
type Ids = Vec<(CustomerNo, u64)>;

impl Shared {
    /// All ids of a customer, and the time of their last event; an entry that names two of them counts once.
    fn ids_of(&self, customer: &CustomerId) -> Result<(Ids, Option<Micros>)> {
        let Some(number) = self.names.find_customer(customer.as_str()) else { return Ok((Vec::new(), None)) };
        let snapshot = self.snapshot();
        let identities = snapshot.identities(None, None)?;
        let ids: Vec<CustomerNo> = identities.ids(identities.customer(number)).collect();
        let (reserved, hidden) = (ReservedNumbers::of(&self.names), self.names.hidden());
        let needs = Needs { times: true, seqs: true, touchpoints: true, ..Needs::default() };
        // A link of somebody who was erased went with them; one of two ids of the customer is that of the one who is linked.
        let is_seen = |id: CustomerNo| hidden.binary_search(&id.0).is_err();
        let all: BTreeSet<CustomerNo> = ids.iter().copied().collect();
        let mut links: BTreeMap<CustomerNo, u64> = BTreeMap::new();
        for said in snapshot.said()?.filter(|said| is_seen(said.from) && is_seen(said.to)) {
            let of = if all.contains(&said.from) { said.from } else { said.to };
            if all.contains(&of) {
                *links.entry(of).or_default() += 1;
            }
        }
        let (mut counted, mut last) = (Vec::with_capacity(ids.len()), None);
        for id in &ids {
            let mut entries = links.get(id).copied().unwrap_or_default();
            for source in snapshot.journey_of(*id, &needs)? {
                last = last.max(source.last_event(reserved, &|_| true));
                source
                    .columns
                    .touchpoints
                    .for_each(source.rows(), |touchpoint| entries += u64::from(!reserved.is_of_links(touchpoint)));
            }
            counted.push((*id, entries));
        }
        Ok((counted, last))
    }

    fn erase(&self, customer: &CustomerId) -> Result<Erasure> {
        // What is said of ids in files is read before appends have to wait.
        drop(self.snapshot().identities(None, None)?);
        let mut writer = self.writer();
        writer.check()?;
        self.check_place()?;
        self.reopen_if_full(&mut writer)?;
        // Only then does everybody who was appended have a number.
        self.catch_up();
        self.coming.check()?;
        let (numbers, last) = self.ids_of(customer)?;
        let mut ids = Vec::with_capacity(numbers.len().max(1));
        for (number, entries) in &numbers {
            ids.push((self.names.customer(*number), *entries));
        }
        // The one that is asked for comes first, also if nothing is known of it.
        match ids.iter().position(|(id, _)| **id == *customer.as_str()) {
            Some(place) => ids.swap(0, place),
            None => ids.insert(0, (customer.as_str().into(), 0)),
        }
        let now: Micros = writer.now();
        let mut erasures = self.erasures();
        let erasure = erasures.add(&*self.log.engine(), &ids, now)?;
        // Whoever sees that names are gone sees that the last event may be too.
        self.tail().note_erased(erasures.pending_events(), last);
        self.names.write().forget_all(numbers.into_iter().map(|(number, _)| number));
        self.witness().note_erased(erasures.len())?;
        // The store is compacted when it has been left alone for a while.
        self.work.appended(false);
        Ok(erasure)
    }
}
