//! Bytes: how entries, columns and files are written, and read again without ever trusting them.

mod bits;
mod block;
mod body;
mod body_v1;
mod carve;
mod cells;
mod chain;
mod column;
mod entries;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

pub(crate) use block::{Block, BlockCutter, Content, CutBlocks, LogEntry};
pub(crate) use carve::carve;
pub(crate) use chain::Chain;
pub(crate) use column::{ColumnId, decode_column, encode_columns, read_feedback};
pub(crate) use entries::{Coded, Entries};
pub(crate) use frame::{checksum, frame, unframe, unframe_current, version_of};

/// Decompresses what stands after its size.
pub(crate) fn decompress_sized(bytes: &[u8]) -> Option<Vec<u8>> {
    let (size, packed) = lz4_flex::block::uncompressed_size(bytes).ok()?;
    decompress(packed, size)
}

/// Decompresses what must have this size. The size is checked against what LZ4 can reach (255 times the bytes) before
/// any memory is taken, so that damaged bytes cannot ask for all of it.
fn decompress(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    if size > packed.len().saturating_mul(255).saturating_add(64) {
        return None;
    }
    lz4_flex::decompress(packed, size).ok().filter(|plain| plain.len() == size)
}
