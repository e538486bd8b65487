//! The inventories of the repository: the good ones parse and survive a round trip, the broken ones say what
//! is wrong with them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where its input is not as it says")]

use inventory::{Cluster, Parsed, effective, parse};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn inventories(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../inventories").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn good(name: &str, text: &str) -> Parsed {
    parse(name, text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn example(name: &str) -> Cluster {
    let text = inventories("").into_iter().find(|(file, _)| file == name).unwrap().1;
    good(name, &text).cluster
}

#[test]
fn every_example_parses_without_a_word() {
    let examples = inventories("");
    assert!(examples.len() >= 5);
    for (name, text) in examples {
        let parsed = good(&name, &text);
        assert!(parsed.warnings.is_empty(), "{}", parsed.warnings);
        assert!(parsed.first_up_errors.is_empty(), "{}", parsed.first_up_errors);
    }
}

#[test]
fn the_smallest_highly_available_inventory_has_at_most_twelve_lines() {
    let text = inventories("").into_iter().find(|(file, _)| file == "stacked-3.toml").unwrap().1;
    assert!(text.lines().count() <= 12, "{}", text.lines().count());
    assert_eq!(good("stacked-3.toml", &text).cluster.control_planes().count(), 3);
}

#[test]
fn the_effective_inventory_parses_to_the_same_cluster() {
    for (name, text) in inventories("") {
        let cluster = good(&name, &text).cluster;
        let written = effective(&cluster);
        assert_eq!(good("effective", &written).cluster, cluster, "{name}:\n{written}");
    }
}

#[test]
fn the_effective_inventory_writes_every_default() {
    insta::assert_snapshot!("effective_stacked_3", effective(&example("stacked-3.toml")));
    insta::assert_snapshot!("effective_everything", effective(&example("everything.toml")));
    insta::assert_snapshot!("effective_dual_stack", effective(&example("dual-stack.toml")));
}

#[test]
fn every_broken_inventory_says_what_is_wrong() {
    let broken = inventories("broken");
    assert!(broken.len() >= 10);
    for (name, text) in broken {
        let said = match parse(&name, &text) {
            Err(mistakes) => mistakes.render(false),
            Ok(parsed) => {
                assert!(
                    !parsed.warnings.is_empty() || !parsed.first_up_errors.is_empty(),
                    "{name} is not broken"
                );
                [parsed.first_up_errors, parsed.warnings].map(|list| list.render(false)).join("\n\n")
            }
        };
        insta::assert_snapshot!(format!("broken_{}", name.trim_end_matches(".toml")), said.trim());
    }
}

#[test]
fn the_example_sets_every_key_that_is_there() {
    let text = inventories("").into_iter().find(|(file, _)| file == "everything.toml").unwrap().1;
    let written: BTreeSet<&str> = text
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-')
        .filter(|word| !word.is_empty())
        .collect();
    let missing: Vec<&str> = inventory::change::KEYS
        .iter()
        .flat_map(|key| key.path.split('.'))
        .filter(|part| *part != "*" && !written.contains(part))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
