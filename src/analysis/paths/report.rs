//! The answer to a question about paths.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    analysis::{Rate, listed::when, rate::INTERVAL},
    model::CustomerId,
    table::{Cell, Table, Tables, write_tables},
};

/// The paths that customers take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PathsReport {
    /// From where positions are counted.
    pub direction: PathDirection,
    /// How many paths there are.
    pub paths: u64,
    /// Customers who took any.
    pub customers: u64,
    /// Starts after which there was no end, if the plan is anchored at both; they are no paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_end: Option<u64>,
    /// Those of them whose session may still go on, so that an end may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_end_open: Option<u64>,
    /// The graph: each position in order.
    pub positions: Vec<PathPosition>,
    /// The most frequent paths.
    pub variants: Vec<PathVariant>,
    /// All others together.
    pub other_variants: OtherPaths,
    /// Who took which variants, if the plan lists them: by id, and then by when they first did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<PathCustomer>>,
    /// Who started and came to no end, by id, if the plan lists customers and is anchored at both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_without_end: Option<Vec<PathStart>>,
}

/// From where positions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathDirection {
    /// From the start: position 2 is the step after position 1.
    Forward,
    /// From the end: position 2 is the step before position 1.
    Backward,
}

/// One position of paths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PathPosition {
    /// Which, from 1.
    pub position: u64,
    /// Paths that have a step here: the sum of its nodes.
    pub paths: u64,
    /// The most frequent steps, the most frequent first, and then all others together.
    pub nodes: Vec<PathNode>,
    /// What leads from here to the next position, or from the next position to here if paths are read backwards: in the order of
    /// this position's nodes, then of that one's.
    pub links: Vec<PathLink>,
}

/// A step at one position: `paths` is what `ended`, what is `open`, what goes `beyond` the depth, and its links to the next position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PathNode {
    /// The touchpoint, channel, stage or group; `None` for all others together.
    pub label: Option<String>,
    /// How many distinct ones it stands for.
    pub labels: u64,
    /// Paths that have it here.
    pub paths: u64,
    /// Paths that have no further step: they end here, or begin here if they are read backwards.
    pub ended: u64,
    /// Paths of which it is the last step so far: their session may still go on after the end of observation.
    pub open: u64,
    /// Paths that have further steps, which are not shown.
    pub beyond: u64,
}

/// Paths that go from a step at one position to a step at the neighbouring one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PathLink {
    /// The earlier step; `None` for all others together.
    pub from: Option<String>,
    /// The later step; `None` for all others together.
    pub to: Option<String>,
    /// How many.
    pub paths: u64,
}

/// Paths that are the same, as far as they are shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PathVariant {
    /// Its steps, in the order of time.
    pub steps: Vec<String>,
    /// How many of all paths.
    pub paths: Rate,
    /// Customers who took it.
    pub customers: u64,
    /// Those of its paths whose session may still go on, so that further steps may come.
    pub open: u64,
    /// Those of its paths that have further steps, which are not shown.
    pub beyond: u64,
}

/// Paths that are not listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OtherPaths {
    /// How many variants there are of them.
    pub variants: u64,
    /// How many of all paths.
    pub paths: Rate,
    /// Those whose session may still go on.
    pub open: u64,
    /// Those that have further steps, which are not shown.
    pub beyond: u64,
}

/// A customer with a variant that they took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PathCustomer {
    /// Who.
    pub customer: CustomerId,
    /// Which, by its place among those listed, from 1; `None` for one that is not listed.
    pub variant: Option<u64>,
    /// Its steps, in the order of time: with them the customers of each node and link are found, also those of all others together.
    pub steps: Vec<String>,
    /// How often.
    pub paths: u64,
    /// How many of these are of a session that may still go on.
    pub open: u64,
    /// How many of these have further steps, which are not shown.
    pub beyond: u64,
    /// When the first of these began, or ended if paths are read backwards.
    pub first: DateTime<Utc>,
}

/// A customer with starts after which there was no end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PathStart {
    /// Who.
    pub customer: CustomerId,
    /// How many.
    pub starts: u64,
    /// How many of these are of a session that may still go on.
    pub open: u64,
    /// When the first of them was.
    pub first: DateTime<Utc>,
}

impl PathNode {
    fn name(&self) -> String {
        self.label.clone().unwrap_or_else(|| format!("({} others)", self.labels))
    }
}

impl Tables for PathsReport {
    fn tables(&self) -> Vec<Table> {
        let counted = match self.direction {
            PathDirection::Forward => "from the start",
            PathDirection::Backward => "back from the end",
        };
        let mut all = Table::new("Paths", ["paths", "customers", "variants", "open", "without end", "(open)"]);
        let variants = self.variants.len() as u64 + self.other_variants.variants;
        let without_end = self.without_end.map_or(Cell::Empty, Cell::from);
        let open = self.variants.iter().map(|variant| variant.open).sum::<u64>() + self.other_variants.open;
        let counts = [self.paths, self.customers, variants, open].map(Cell::from);
        all.push(counts.into_iter().chain([without_end, self.without_end_open.map_or(Cell::Empty, Cell::from)]));
        let columns = ["position", "step", "paths", "of all", "ended", "open", "beyond"];
        let mut nodes = Table::new(format!("Steps, counted {counted}"), columns);
        let mut links = Table::new("Links", ["position", "from", "to", "paths"]);
        for position in &self.positions {
            for node in &position.nodes {
                let share = Cell::share(Rate::new(node.paths, self.paths).share);
                let counts = [node.ended, node.open, node.beyond].map(Cell::from);
                let row = [position.position.into(), node.name().into(), node.paths.into(), share];
                nodes.push(row.into_iter().chain(counts));
            }
            let name = |label: &Option<String>| label.clone().unwrap_or_else(|| "(others)".to_owned()).into();
            for link in &position.links {
                links.push([position.position.into(), name(&link.from), name(&link.to), link.paths.into()]);
            }
        }
        let mut most = Table::new("Variants", ["#", "path", "paths", "share", INTERVAL, "customers", "open", "beyond"]);
        for (variant, rank) in self.variants.iter().zip(1_u64..) {
            let (paths, share) = (variant.paths.some.into(), Cell::share(variant.paths.share));
            let counts = [variant.customers, variant.open, variant.beyond].map(Cell::from);
            let row = [rank.into(), variant.steps.join(" > ").into(), paths, share, variant.paths.interval()];
            most.push(row.into_iter().chain(counts));
        }
        if self.other_variants.variants > 0 {
            let OtherPaths { variants, paths, open, beyond } = &self.other_variants;
            let name = format!("({variants} others)").into();
            let row = [Cell::Empty, name, paths.some.into(), Cell::share(paths.share), paths.interval(), Cell::Empty];
            most.push(row.into_iter().chain([*open, *beyond].map(Cell::from)));
        }
        let mut tables = vec![all, nodes, links, most];
        if let Some(listed) = &self.listed {
            let columns = ["customer", "variant", "path", "paths", "open", "beyond", "first"];
            let mut table = Table::new("Customers", columns);
            for one in listed {
                let variant = one.variant.map_or(Cell::Empty, Cell::from);
                let row = [one.customer.as_str().into(), variant, one.steps.join(" > ").into()];
                let counts = [one.paths, one.open, one.beyond].map(Cell::from);
                table.push(row.into_iter().chain(counts).chain([when(one.first)]));
            }
            tables.push(table);
        }
        if let Some(listed) = &self.listed_without_end {
            let mut table = Table::new("Customers without end", ["customer", "starts", "open", "first"]);
            for one in listed {
                table.push([one.customer.as_str().into(), one.starts.into(), one.open.into(), when(one.first)]);
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for PathsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}
