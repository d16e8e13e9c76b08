//! docs/reliability.md says which test holds which row of hostile input and faults: that all of them are there, by their names.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::binary::repository;

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with("node_modules") {
                rust_files(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The words of a text that are names of tests of rows.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').filter(|word| {
        let number = word.strip_prefix("row_").or_else(|| word.strip_prefix("rows_"));
        // The number alone, as a filter of tests, names none.
        number.is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_ascii_digit()) && rest.contains(char::is_alphabetic)
        })
    })
}

#[test]
fn every_test_of_a_row_is_in_the_table_and_every_test_of_the_table_is_there() {
    let repository = repository();
    let mut files = Vec::new();
    for folder in ["renderer", "streamer", "tests"] {
        rust_files(&repository.join(folder), &mut files);
    }
    let sources: Vec<_> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let tested: BTreeSet<_> = sources.iter().flat_map(|source| names(source)).collect();
    let document = fs::read_to_string(repository.join("docs/reliability.md")).unwrap();
    let listed: BTreeSet<_> = names(&document).collect();
    assert!(tested.len() > 100, "{tested:?}");
    let missing: Vec<_> = tested.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&tested).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not in the table: {missing:?}; no tests: {unknown:?}");
}
