//! A child that uses sled alone, to show that a power cut can be seen at all: what it flushed and did not sync is lost.

use std::{fs::File, io::Write, path::Path};

fn open(folder: &Path) -> sled::Db {
    sled::Config::default().path(folder).segment_size(2 << 20).flush_every_ms(None).open().unwrap()
}

/// Writes values one by one, flushes each, syncs the file too if so asked, and says how many there are.
pub(crate) fn work(folder: &Path, is_synced: bool) {
    let db = open(folder);
    let file = File::options().read(true).write(true).open(folder.join("db")).unwrap();
    if is_synced {
        file.sync_all().unwrap();
        File::open(folder).unwrap().sync_all().unwrap();
        File::open(folder.parent().unwrap()).unwrap().sync_all().unwrap();
    }
    let mut random = fastrand::Rng::with_seed(1);
    for n in 0_u64.. {
        let length = random.usize(0..20_000);
        let value: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
        db.insert(n.to_be_bytes(), value).unwrap();
        db.flush().unwrap();
        if is_synced {
            file.sync_data().unwrap();
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{n}").unwrap();
        out.flush().unwrap();
    }
}

/// Fails if fewer values are there than were said to be, line by line on the standard input.
pub(crate) fn check(folder: &Path) {
    let said = std::io::stdin().lines().filter_map(|line| line.unwrap().parse::<u64>().ok()).last();
    let held = open(folder).iter().inspect(|pair| assert!(pair.is_ok())).count() as u64;
    println!("{held} values held, {said:?} is the last that was acknowledged");
    assert!(held >= said.map_or(0, |last| last + 1));
}
