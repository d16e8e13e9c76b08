#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| streamer::fuzzing::upload_head(bytes));
