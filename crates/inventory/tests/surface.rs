//! What else the crate gives: the schema, the example of `init`, changes, hostile input.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where its input is not as it says")]

use inventory::change::{KEYS, Kind};
use inventory::{
    DEFAULT_KUBERNETES, ExampleNode, Parsed, Role, changes, commented_example, effective, parse, schema,
};
use serde_json::Value;
use std::collections::BTreeSet;

const EVERYTHING: &str = include_str!("../../../inventories/everything.toml");
const STACKED: &str = include_str!("../../../inventories/stacked-3.toml");

fn good(text: &str) -> Parsed {
    parse("test.toml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// Paths of the keys of a schema; a table of the author's own names is `*` where its values are tables of
/// known keys, else it is a key itself.
fn schema_keys(root: &Value, schema: &Value, path: &str, keys: &mut BTreeSet<String>) {
    let resolved = |schema: &Value| -> Value {
        let schema = schema["anyOf"].get(0).unwrap_or(schema);
        match schema["$ref"].as_str() {
            Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap().clone(),
            None => schema.clone(),
        }
    };
    let schema = resolved(schema);
    let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if let Some(properties) = schema["properties"].as_object().filter(|_| schema["oneOf"].is_null()) {
        for (key, value) in properties {
            schema_keys(root, value, &inner(key), keys);
        }
        return;
    }
    let named = resolved(&schema["additionalProperties"]);
    if named["properties"].is_object() {
        keys.insert(inner("*"));
        schema_keys(root, &named, &inner("*"), keys);
    } else {
        keys.insert(path.to_owned());
    }
}

#[test]
fn every_key_of_the_schema_is_free_rolling_or_fixed_and_no_other() {
    let schema = schema();
    let mut keys = BTreeSet::new();
    schema_keys(&schema, &schema, "", &mut keys);
    let table: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    assert_eq!(keys, table);
    assert_eq!(table.len(), KEYS.len(), "a key stands twice");
}

#[test]
fn the_schema_describes_the_file() {
    insta::assert_json_snapshot!("schema", schema());
}

#[test]
fn the_commented_example_is_valid_with_its_comments_and_without() {
    let node = |name: &str, last: u8, role| ExampleNode {
        name: name.into(),
        address: [10, 0, 0, last].into(),
        role,
    };
    let nodes = [
        node("cp1", 11, Role::ControlPlane),
        node("cp2", 12, Role::ControlPlane),
        node("cp3", 13, Role::ControlPlane),
        node("worker1", 21, Role::Worker),
    ];
    let text = commented_example("shop", &DEFAULT_KUBERNETES, &nodes);
    insta::assert_snapshot!("commented_example", text);
    assert_eq!(good(&text).cluster.nodes.len(), 4);

    // A comment that holds TOML is a promise that it works; placeholders and prose are not.
    let uncommented: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_toml(rest)).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let cluster = good(&uncommented).cluster;
    assert_eq!(cluster.api.host, "api.shop.internal");
    assert_eq!(cluster.kubelet["maxPods"], 110);
    assert!(cluster.pki.own_ca.is_some());
}

fn is_toml(line: &str) -> bool {
    let key = line.split(" = ").next().unwrap();
    let is_key = key != line
        && !line.contains('…')
        && key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    let is_mirror = line.starts_with("source = ");
    is_key || is_mirror || line.starts_with('[')
}

#[test]
fn changes_say_what_they_mean() {
    let edits: [(&str, &str, &str); 9] = [
        ("nothing", "1.36.3", "1.36.3"),
        ("a newer version", "1.36.3", "1.36.4"),
        (
            "a node more",
            "w1  = { address = \"10.0.0.21\" }",
            "w1  = { address = \"10.0.0.21\" }\nw2 = { address = \"10.0.0.22\" }",
        ),
        ("a node less", "w1  = { address = \"10.0.0.21\" }", ""),
        ("a node in the middle", "w1 ", "w0  = { address = \"10.0.0.20\" }\nw1 "),
        ("a new address and label", "\"10.0.0.21\" }", "\"10.0.0.31\", labels = { tier = \"web\" } }"),
        ("a worker made control plane", "\"10.0.0.21\" }", "\"10.0.0.21\", role = \"control-plane\" }"),
        (
            "other networks",
            "[archive]",
            "[network]\npods = \"10.9.0.0/16\"\ndomain = \"k.example\"\nproxy = \"iptables\"\n[archive]",
        ),
        ("a flag", "[archive]", "[kubeadm]\napi-server = { v = 2 }\n[kubelet]\nmaxPods = 50\n[archive]"),
    ];
    let old = good(STACKED).cluster;
    let said: String = edits
        .iter()
        .map(|(name, from, to)| {
            let new = good(&STACKED.replacen(from, to, 1)).cluster;
            let lines: String = changes(&old, &new)
                .iter()
                .map(|change| {
                    let kind = match change.kind {
                        Kind::Free => "free",
                        Kind::Rolling => "rolling",
                        Kind::Fixed(_) => "FIXED",
                    };
                    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
                    format!("  {kind} {}: {} -> {}\n", change.key, shown(&change.old), shown(&change.new))
                })
                .collect();
            format!("{name}\n{lines}")
        })
        .collect();
    insta::assert_snapshot!("changes", said);
}

#[test]
fn every_fixed_key_names_a_way() {
    for key in KEYS {
        if let Kind::Fixed(sentence) = key.kind {
            assert!(sentence.len() > 40 && !sentence.ends_with('.'), "{}: {sentence}", key.path);
        }
    }
}

#[test]
fn a_node_keeps_its_pod_network_when_nodes_are_added_or_written_down() {
    let pieces = |text: &str| -> Vec<String> {
        let cluster = good(text).cluster;
        cluster.nodes.iter().map(|node| format!("{} {:?}", node.name, node.pod_cidrs)).collect()
    };
    let before = pieces(STACKED);
    assert_eq!(before[0], "cp1 [10.244.0.0/24]");
    let added = STACKED.replace("\n[archive]", "w2 = { address = \"10.0.0.22\" }\n[archive]");
    assert_eq!(pieces(&added)[..4], before[..]);
    let pinned = STACKED.replace("\"10.0.0.21\" }", "\"10.0.0.21\", pod-cidr = \"10.244.3.0/24\" }");
    assert_eq!(pieces(&pinned), before);
    // With w1 pinned, cp3 can go, and who comes takes the piece that cp3 left.
    let without = pinned.replace("cp3 = { address = \"10.0.0.13\", role = \"control-plane\" }\n", "");
    let again = without.replace("\n[archive]", "w2 = { address = \"10.0.0.22\" }\n[archive]");
    assert_eq!(pieces(&again)[2..], ["w1 [10.244.3.0/24]", "w2 [10.244.2.0/24]"]);
}

#[test]
fn a_file_of_ten_megabytes_is_refused_in_one_sentence() {
    let text = "# nothing\n".repeat(1_000_000);
    let mistakes = parse("huge.toml", &text).unwrap_err();
    insta::assert_snapshot!("huge", mistakes.render(false));
}

#[test]
fn a_thousand_mistakes_are_counted_and_not_all_shown() {
    let nodes: String = (0..1000).map(|n| format!("n{n} = {{ address = \"oops\" }}\n")).collect();
    let mistakes = parse("many.toml", &format!("[nodes]\n{nodes}")).unwrap_err();
    assert_eq!(mistakes.len(), 1002);
    assert!(mistakes.render(false).ends_with("and 952 more"));
}

#[test]
fn a_secret_key_in_the_wrong_place_is_never_shown() {
    let key = "AGE-SECRET-KEY-1QZVVLYAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for line in [
        format!("[archive]\nrecipients = [\"{key}\"]"),
        format!("[archive]\ntrust = 5\nrecipients = [\"{}\", \"x\"]", key.to_lowercase()),
        format!("[archive]\nto = \"s3://x\"; \"{key}\""),
        format!("[cluster]\nname = \"{key}\""),
        format!("[cluster]\n{key} = 5"),
    ] {
        let mistakes = parse("secret.toml", &line).unwrap_err();
        for said in [mistakes.render(true), mistakes.to_string(), format!("{mistakes:?}")] {
            assert!(!said.to_uppercase().contains("QZVVLY"), "{said}");
        }
    }
}

#[test]
fn hostile_depth_and_width_are_refused() {
    let deep = [
        format!("a = {}", "[".repeat(400_000)),
        format!("a = {}", "{ a = ".repeat(150_000)),
        format!("{}b = 1", "a.".repeat(400_000)),
        format!("[{}b]", "a.".repeat(400_000)),
        format!("[kubelet]\na = {}1{}", "[".repeat(60), "]".repeat(60)),
        "[[nodes]]\n".repeat(90_000),
        "x = 5\n".repeat(150_000),
        (0..60_000).map(|n| format!("x{n} = 5\n")).collect(),
        "\u{1f600}".repeat(200_000),
        "\u{0}".repeat(1_000_000),
        "\r".repeat(1_000_000),
    ];
    let refused = deep.iter().filter(|text| !survive(text)).count();
    assert_eq!(refused, deep.len());
}

#[test]
fn five_thousand_nodes_parse() {
    let head = "[cluster]\nname = \"big\"\nkubernetes = \"1.36.3\"\n[network]\npods = \"172.16.0.0/12\"\nservices = \"10.96.0.0/16\"\n\
        [kubeadm]\ncontroller-manager = { node-cidr-mask-size-ipv4 = 25 }\n[nodes]\n";
    let node = |n: usize| {
        let role = if n < 5 { ", role = \"control-plane\"" } else { "" };
        format!("n{n} = {{ address = \"192.168.{}.{}\"{role} }}\n", n / 250, n % 250 + 1)
    };
    let text: String = (0..5000).map(node).collect();
    let cluster = good(&format!("{head}{text}")).cluster;
    assert_eq!(cluster.nodes[4999].pod_cidrs[0].to_string(), "172.25.195.128/25");
}

#[test]
fn places_are_lines_and_columns_of_the_file() {
    let parsed = good(STACKED);
    assert_eq!(parsed.node_lines["w1"], 9);
    let mistakes = parse("x.toml", &STACKED.replace("10.0.0.21", "10.0.0.")).unwrap_err();
    let mistake = mistakes.iter().next().unwrap();
    assert_eq!(mistakes.position(mistake), Some((9, 19)));
    assert!(mistakes.render(false).contains("x.toml:9:19"));
    assert!(mistakes.render(true).contains('\u{1b}'));
    assert!(!mistakes.render(false).contains('\u{1b}'));
}

/// xorshift64: the same mutations in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn survive(text: &str) -> bool {
    match parse("mutant.toml", text) {
        Ok(parsed) => {
            let written = effective(&parsed.cluster);
            assert_eq!(good(&written).cluster, parsed.cluster, "{written}");
            true
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            assert!(!mistakes.render(true).is_empty());
            for mistake in mistakes.iter() {
                assert!(!mistake.message.is_empty());
            }
            false
        }
    }
}

#[test]
fn mutants_of_the_example_parse_or_say_what_is_wrong() {
    let pieces = [
        "\"",
        "'",
        "[",
        "]",
        "{",
        "}",
        "=",
        "\n",
        ".",
        "#",
        "\u{0}",
        "é",
        "\u{feff}",
        "\t",
        "5",
        "[[nodes]]\n",
        "1e999",
        "nan",
        "1979-05-27",
        "\"\"\"",
    ];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..600 {
        let mut text: Vec<char> = EVERYTHING.chars().collect();
        for _ in 0..=dice.below(4) {
            let at = dice.below(text.len());
            match dice.below(5) {
                0 => text.truncate(at.max(1)),
                1 => drop(text.remove(at)),
                2 => drop(text.splice(at..at, pieces[dice.below(pieces.len())].chars())),
                3 => {
                    let end = (at + dice.below(40)).min(text.len());
                    drop(text.splice(at..end, []));
                }
                _ => {
                    let (from, to) = (dice.below(text.len()), dice.below(text.len()));
                    text.swap(from, to);
                }
            }
            if text.is_empty() {
                text.push('\n');
            }
        }
        match survive(&text.iter().collect::<String>()) {
            true => good += 1,
            false => bad += 1,
        }
    }
    assert!(good > 10 && bad > 100, "{good} parsed and {bad} did not: the mutations test nothing");
}

#[test]
fn every_truncation_parses_or_says_what_is_wrong() {
    let cuts: Vec<usize> = EVERYTHING.char_indices().map(|(at, _)| at).step_by(7).collect();
    let refused = cuts.iter().filter(|&&at| !survive(&EVERYTHING[..at])).count();
    assert!(refused > cuts.len() / 2);
}
