#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| journeylog::fuzzing::plan_json(data));
