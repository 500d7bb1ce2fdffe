//! A question in the making.

use std::{collections::BTreeMap, num::NonZeroUsize, ops::Range, sync::Arc, thread};

use chrono::{DateTime, Utc};

use super::{Answer, Journeys, Question};
use crate::{
    analysis::{Analysis, Binder, Bound, Job, Scope, run},
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Identities, Names, Needs, ReservedNumbers, Source as Part},
    model::{Condition, CustomerId, JourneyModel, Micros, Segment, SegmentRef, Seq},
    store::{Customer, Scan, Snapshot, Store},
};

/// The most bytes that the states of one question may take, unless it says otherwise: 1 GiB.
const MEMORY: usize = 1 << 30;
/// Up to so many customers are looked up one by one; more are found by a scan.
const FEW_CUSTOMERS: usize = 256;

/// A question in the making: its scope, its journey model, and with how much it is to be answered.
///
/// ```
/// # use chrono::{TimeDelta, Utc};
/// # use journeylog::{Event, Funnel, JourneyModel, Journeys, Transitions};
/// # let store = Journeys::of([Event::at(Utc::now(), "c-42", "view")])?;
/// let funnel = Funnel::ordered(["view", "pay"]).within(TimeDelta::days(7)).build()?;
/// let moves = Transitions::of(JourneyModel::standard());
/// let last_month = Utc::now() - TimeDelta::days(30)..Utc::now() + TimeDelta::days(1);
/// let (funnel, moves) = store.query().between(last_month).run((&funnel, &moves))?; // one scan
/// assert_eq!(funnel.entered, 1);
/// assert_eq!(moves.customers, 0);
/// # Ok::<(), journeylog::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a question is only answered by run"]
pub struct Query {
    source: Source,
    scope: Scope,
    model: JourneyModel,
    threads: Option<NonZeroUsize>,
    memory: usize,
}

#[derive(Debug, Clone)]
enum Source {
    Journeys(Journeys),
    Snapshot(Snapshot),
    Customer(Customer),
}

impl Source {
    fn names(&self) -> &Names {
        match self {
            Self::Journeys(journeys) => journeys.names(),
            Self::Snapshot(snapshot) => snapshot.names(),
            Self::Customer(customer) => customer.snapshot().names(),
        }
    }

    fn last_time(&self) -> Result<Option<Micros>> {
        match self {
            Self::Journeys(journeys) => Ok(journeys.last_time()),
            Self::Snapshot(snapshot) => snapshot.last_time(),
            Self::Customer(customer) => customer.snapshot().last_time(),
        }
    }

    /// Which ids are one customer, as far as a scope sees.
    fn identities(&self, scope: &Scope) -> Result<Arc<Identities>> {
        let (known_at, end) = (scope.known().map(Seq::get), scope.end());
        match self {
            Self::Journeys(journeys) => Ok(journeys.identities(known_at, end)),
            Self::Snapshot(snapshot) => snapshot.identities(known_at, end),
            Self::Customer(customer) => customer.snapshot().identities(known_at, end),
        }
    }

    /// The segments that have a name.
    fn segments(&self) -> &BTreeMap<String, Segment> {
        static NONE: BTreeMap<String, Segment> = BTreeMap::new();
        match self {
            Self::Journeys(_) => &NONE,
            Self::Snapshot(snapshot) => snapshot.named_segments(),
            Self::Customer(customer) => customer.snapshot().named_segments(),
        }
    }

    /// A pass over all customers, or over these few.
    fn chunks(
        &self,
        customers: Option<&[CustomerNo]>,
        identities: &Arc<Identities>,
        (needs, memory): (&Needs, usize),
    ) -> Result<Chunks<'_>> {
        let few = customers.filter(|customers| customers.len() <= FEW_CUSTOMERS);
        Ok(match (self, few) {
            (Self::Journeys(journeys), _) => Chunks::Journeys(journeys.put_together(identities)),
            (Self::Snapshot(snapshot), None) => Chunks::Scan(snapshot.scan().joining(identities, needs, memory)?),
            (Self::Snapshot(snapshot), Some(customers)) => {
                Chunks::Few(snapshot, Arc::clone(identities), customers.to_vec())
            }
            (Self::Customer(customer), _) => Chunks::Customer(customer, Arc::clone(identities)),
        })
    }

    /// A pass over all ids, each for itself.
    fn chunks_of_ids(&self) -> Chunks<'_> {
        match self {
            Self::Journeys(journeys) => Chunks::Journeys(journeys.clone()),
            Self::Snapshot(snapshot) => Chunks::Scan(snapshot.scan()),
            // Observation is of all customers.
            Self::Customer(customer) => Chunks::Scan(customer.snapshot().scan()),
        }
    }

    /// The end of observation: the one that a scope names, else the time of the last event that was known by then. A
    /// filter does not move it.
    fn last_time_seen(&self, scope: &Scope) -> Result<Option<Micros>> {
        let Some(known) = scope.known().filter(|_| scope.end().is_none()) else { return self.last_time() };
        let reserved = ReservedNumbers::of(self.names());
        let needs = Needs { times: true, seqs: true, touchpoints: reserved.is_any(), ..Needs::default() };
        let chunks = self.chunks_of_ids();
        let mut last = None;
        for chunk in 0..chunks.count() {
            for source in chunks.load(chunk, &needs)? {
                last = last.max(source.last_event(reserved, &|seq| seq <= known.get()));
            }
        }
        Ok(last)
    }
}

/// One pass over a source.
enum Chunks<'a> {
    Journeys(Journeys),
    Scan(Scan),
    /// Customers one by one.
    Few(&'a Snapshot, Arc<Identities>, Vec<CustomerNo>),
    Customer(&'a Customer, Arc<Identities>),
}

impl Chunks<'_> {
    fn count(&self) -> usize {
        match self {
            Self::Journeys(journeys) => journeys.chunks(),
            Self::Scan(scan) => scan.chunks(),
            Self::Few(_, _, customers) => customers.len(),
            Self::Customer(..) => 1,
        }
    }

    fn load(&self, chunk: usize, needs: &Needs) -> Result<Vec<Part>> {
        match self {
            Self::Journeys(journeys) => Ok(journeys.load(chunk)),
            Self::Scan(scan) => scan.load(chunk, needs),
            Self::Few(snapshot, identities, customers) => match customers.get(chunk) {
                Some(customer) => snapshot.whole_journey_of(*customer, identities, needs),
                None => Ok(Vec::new()),
            },
            Self::Customer(customer, identities) => customer.sources(identities, needs),
        }
    }
}

impl Query {
    pub(super) fn of_journeys(journeys: Journeys) -> Self {
        Self::new(Source::Journeys(journeys))
    }

    pub(super) fn of_customer(customer: Customer) -> Self {
        Self::new(Source::Customer(customer))
    }

    fn new(source: Source) -> Self {
        Self { source, scope: Scope::all(), model: JourneyModel::standard(), threads: None, memory: MEMORY }
    }

    /// Sets the whole scope at once.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Only entries in this range count; the start is in, the end is not. See [`Scope`].
    pub fn between(mut self, range: Range<DateTime<Utc>>) -> Self {
        self.scope = self.scope.between(range);
        self
    }

    /// Ends observation at this moment, inclusive. What was true then?
    pub fn as_of(mut self, end: DateTime<Utc>) -> Self {
        self.scope = self.scope.as_of(end);
        self
    }

    /// Sees only entries up to this sequence, inclusive. What did we know then?
    pub fn known_at(mut self, seq: Seq) -> Self {
        self.scope = self.scope.known_at(seq);
        self
    }

    /// Sees only events for which this holds.
    pub fn filter(mut self, filter: Condition) -> Self {
        self.scope = self.scope.filter(filter);
        self
    }

    /// Sees only these customers.
    pub fn customers(mut self, customers: impl IntoIterator<Item = CustomerId>) -> Self {
        self.scope = self.scope.customers(customers);
        self
    }

    /// Sees only the customers of this segment, or of the one that the store keeps under this name. See [`Segment`], and
    /// [`Scope::segment`].
    pub fn segment(mut self, segment: impl Into<SegmentRef>) -> Self {
        self.scope = self.scope.segment(segment);
        self
    }

    /// Sets the journey model by which conditions on stages are read. The default is the standard one.
    pub fn model(mut self, model: JourneyModel) -> Self {
        self.model = model;
        self
    }

    /// Sets on how many threads it runs. The default is one per core; the answer is the same for any number.
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Sets the most bytes that what is counted may take, roughly, and so many again the events of [linked](crate::Link) ids, 32
    /// each, but for one id of each customer. The default is 1 GiB; lists of customers take most.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// The end of observation: the scope's `as_of`, else the time of the last event known by then, of any customer and
    /// whether or not a filter keeps it. One event dated in the future closes every window: ask with `as_of` then.
    ///
    /// # Errors
    /// `Damaged` or `Io` if a store could not be read.
    pub fn observation_end(&self) -> Result<Option<DateTime<Utc>>> {
        let last = self.source.last_time_seen(&self.scope)?;
        Ok(self.scope.end().or(last).map(Micros::to_datetime))
    }

    /// Answers a plan, or several in one scan: a tuple of plans gives a tuple of reports.
    ///
    /// # Errors
    /// `InvalidPlan` if the scope or a plan cannot be asked; `Limit` if the answer passes the limit of memory;
    /// `Damaged` or `Io` if a store could not be read.
    pub fn run<A: Analysis>(&self, plan: A) -> Result<<A::Bound as Bound>::Report> {
        self.scope.check()?;
        let last = self.source.last_time_seen(&self.scope)?;
        let latest = self.source.last_time()?;
        let identities = self.source.identities(&self.scope)?;
        let (names, named) = (self.source.names(), self.source.segments());
        let scope = &self.scope;
        let mut binder = Binder::new(names, &self.model, scope, Arc::clone(&identities), (last, latest), named)?;
        let bound = plan.bind(&mut binder)?;
        let reader = binder.into_reader();
        let chunks =
            self.source.chunks(reader.scope.customers.as_deref(), &identities, (&reader.loads(), self.memory))?;
        // Asking how many cores there are takes a good part of the time of reading one customer.
        let cores = || if chunks.count() > 1 { thread::available_parallelism().ok() } else { None };
        let threads = self.threads.or_else(cores).unwrap_or(NonZeroUsize::MIN);
        let load = |chunk: usize, needs: &Needs| chunks.load(chunk, needs);
        let job = Job { chunks: chunks.count(), load: &load, threads, memory: self.memory };
        let state = run(&job, &reader, &bound)?;
        bound.finish(state, self.source.names())
    }

    /// Answers questions as JSON says them: those with the same scope and model in one scan. Scope and model of the
    /// query itself are not used.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn ask(&self, questions: &[Question]) -> Result<Vec<Answer>> {
        let mut answers: Vec<Option<Answer>> = questions.iter().map(|_| None).collect();
        while let Some(first) = answers.iter().position(Option::is_none) {
            let Some(Question { scope, model, .. }) = questions.get(first) else { break };
            let together = |q: &Question| q.scope == *scope && q.model == *model;
            let plans: Vec<_> = questions.iter().filter(|q| together(q)).map(|q| &q.plan).collect();
            let query = self.clone().scope(scope.clone()).model(model.clone().unwrap_or_default());
            let observed_until = query.observation_end()?;
            let mut reports = query.run(plans)?.into_iter();
            for (question, answer) in questions.iter().zip(&mut answers).filter(|(q, _)| together(q)) {
                let report = reports.next().ok_or_else(|| InvalidPlan::new("plan", "has no report"))?;
                *answer = Some(Answer { question: question.clone(), report, observed_until });
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }
}

impl Snapshot {
    /// Begins a question about what this snapshot holds.
    pub fn query(&self) -> Query {
        Query::new(Source::Snapshot(self.clone()))
    }
}

impl Store {
    /// Begins a question about what the store holds now; short for `store.snapshot().query()`.
    pub fn query(&self) -> Query {
        self.snapshot().query()
    }
}
