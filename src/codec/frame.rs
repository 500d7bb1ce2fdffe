//! The frame around every record and small file: what it is, its version, its length and its checksum.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::error::{Error, ErrorKind, Result};

/// Kind (4), version (4), length (8) and checksum (8), which covers the version too.
const HEADER: usize = 24;

/// The checksum of all our bytes: 64 bits of XXH3.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Puts a payload into a frame.
pub(crate) fn frame(kind: [u8; 4], version: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER.saturating_add(payload.len()));
    bytes.extend_from_slice(&kind);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&xxh3_64_with_seed(payload, version.into()).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The version that a frame says it has.
pub(crate) fn version_of(bytes: &[u8]) -> Option<u32> {
    bytes.get(4..8).and_then(|found| found.try_into().ok()).map(u32::from_le_bytes)
}

/// The bytes of a frame with its header, by what the header says; `None` if there is too little of it to say.
pub(super) fn framed_length(bytes: &[u8]) -> Option<usize> {
    let [_, _, _, _, _, _, _, _, length @ ..] = bytes.first_chunk::<{ HEADER - 8 }>()?;
    usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX).checked_add(HEADER).or(Some(usize::MAX))
}

/// Takes the payload out of a frame; `what` is named in errors.
pub(crate) fn unframe<'a>(what: &str, kind: [u8; 4], supported: u32, bytes: &'a [u8]) -> Result<&'a [u8]> {
    let damaged = |reason: &str| Err(Error::damaged(what, reason));
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER>() else { return damaged("it is too short") };
    let [k0, k1, k2, k3, v0, v1, v2, v3, rest @ ..] = header;
    if [*k0, *k1, *k2, *k3] != kind {
        return damaged("it does not begin as it should");
    }
    let found = u32::from_le_bytes([*v0, *v1, *v2, *v3]);
    let (length, sum) = rest.split_at(8);
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or_default();
    if number(length) != payload.len() as u64 {
        return damaged("its length is not the one it names");
    }
    if number(sum) != xxh3_64_with_seed(payload, found.into()) {
        return damaged("its checksum does not fit");
    }
    // Only now: a version that its checksum does not cover is damage, not a later release.
    if found > supported {
        return Err(ErrorKind::NewerFormat { what: what.to_owned(), found, supported }.into());
    }
    Ok(payload)
}

/// The same for a derived file, of which only one version is read: an older one is made anew like a damaged one.
pub(crate) fn unframe_current<'a>(what: &str, kind: [u8; 4], version: u32, bytes: &'a [u8]) -> Result<&'a [u8]> {
    let payload = unframe(what, kind, version, bytes)?;
    if version_of(bytes) == Some(version) {
        Ok(payload)
    } else {
        Err(Error::damaged(what, "an earlier release made it, in a form of its own"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_is_seen() {
        let bytes = frame(*b"test", 1, b"payload");
        assert_eq!(unframe("it", *b"test", 1, &bytes).unwrap(), b"payload");
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert!(unframe("it", *b"test", 1, &changed).unwrap_err().is_corrupt(), "byte {i}");
            assert!(unframe("it", *b"test", 1, &bytes[..i]).is_err(), "cut at {i}");
        }
        let newer = frame(*b"test", 2, b"");
        assert!(matches!(
            unframe("it", *b"test", 1, &newer).unwrap_err().kind(),
            ErrorKind::NewerFormat { found: 2, .. }
        ));
        assert_eq!(unframe_current("it", *b"test", 1, &bytes).unwrap(), b"payload");
        assert!(unframe_current("it", *b"test", 2, &bytes).unwrap_err().is_corrupt());
    }
}
