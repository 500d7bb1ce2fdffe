//! Paths: which sequences of touchpoints customers take.

mod finish;
mod plan;
mod report;
mod state;

pub use plan::{
    LIMIT_PATH_DEPTH, LIMIT_PATH_GROUPS, LIMIT_PATH_NODES, LIMIT_PATH_VARIANTS, PathGroup, PathRepeats, Paths,
    PathsBuilder, PathsOf,
};
pub use report::{
    OtherPaths, PathCustomer, PathDirection, PathLink, PathNode, PathPosition, PathStart, PathVariant, PathsReport,
};
