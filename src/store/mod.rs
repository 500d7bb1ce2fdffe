//! draft
use crate::{
    error::Result,
    journey::{Columns, Names, Needs},
    model::Micros,
};
use std::sync::Arc;
#[derive(Debug, Clone)]
/// draft
pub struct Snapshot(Names);
impl Snapshot {
    pub(crate) fn names(&self) -> &Names {
        &self.0
    }
    pub(crate) fn chunks(&self) -> usize {
        0
    }
    pub(crate) fn load(&self, _: usize, _: &Needs) -> Result<Arc<Columns>> {
        Ok(Arc::new(Columns::default()))
    }
    pub(crate) fn last_time(&self) -> Option<Micros> {
        None
    }
}
