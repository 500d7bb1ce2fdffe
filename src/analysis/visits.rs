//! Visits: how a journey passes through stages.

use crate::model::Micros;

/// A stay in one stage: from its first event to the first event of the next stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The stage, by its place in the model from 0.
    pub stage: usize,
    /// When its first event happened.
    pub since: Micros,
}

/// The visits of a journey, in order: neighbouring events of the same stage are one visit, and events that bear no
/// stage leave it as it is. `stages` are the codes of a [`StageReading`](crate::StageReading).
pub fn visits<'a>(times: &'a [Micros], stages: &'a [u8]) -> impl Iterator<Item = Visit> + 'a {
    let mut current = 0;
    times.iter().zip(stages).filter_map(move |(&since, &code)| {
        let stage = usize::from(code).checked_sub(1)?;
        (std::mem::replace(&mut current, code) != code).then_some(Visit { stage, since })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staying_is_one_visit() {
        let times: Vec<Micros> = (0..7).map(Micros).collect();
        let found: Vec<_> = visits(&times, &[0, 1, 1, 0, 2, 0, 1]).map(|v| (v.stage, v.since.0)).collect();
        assert_eq!(found, [(0, 1), (1, 4), (0, 6)]);
    }
}
