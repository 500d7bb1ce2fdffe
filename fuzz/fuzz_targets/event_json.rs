#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| journeylog::fuzzing::event_json(data));
