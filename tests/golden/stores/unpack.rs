//! Unpacks the checked-in stores.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// The formats of which there is a store.
pub(crate) const FORMATS: [u32; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// What stands here, beside the stores.
pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stores").join(name)
}

/// Unpacks the store of a format into a folder: plain ustar, files of which stand in blocks of 512 bytes after a header.
pub(crate) fn unpack(format: u32, folder: &Path) {
    let packed = fs::read(golden(&format!("format-{format}.tar.gz"))).unwrap();
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut tar).unwrap();
    fs::create_dir_all(folder).unwrap();
    let mut left = &tar[..];
    while left[0] != 0 {
        let text = |range: std::ops::Range<usize>| {
            let field = &left[range];
            std::str::from_utf8(field.split(|byte| *byte == 0).next().unwrap()).unwrap().trim().to_owned()
        };
        let size = usize::from_str_radix(&text(124..136), 8).unwrap();
        let path = folder.join(text(0..100));
        match left[156] {
            b'5' => fs::create_dir_all(path).unwrap(),
            kind => {
                assert_eq!(kind, b'0', "a plain file");
                fs::write(path, &left[512..512 + size]).unwrap();
            }
        }
        left = &left[512 + size.div_ceil(512) * 512..];
    }
}
