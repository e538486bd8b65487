//! A recovery kit's block: written, read from a page, and what is no kit.

#![expect(clippy::unwrap_used, reason = "a test stops where its input is not as it says")]

use inventory::{KIT_BEGIN, KIT_END, Kit, parse};

const EVERYTHING: &str = include_str!("../../../inventories/everything.toml");

fn kit() -> Kit {
    Kit {
        cluster: "prod".into(),
        uid: "0123456789abcdef0123456789abcdef".into(),
        root: format!("ed25519:{}", "0a".repeat(32)),
        words: "grid duck problem valid".into(),
        repo: "01234567-89ab-8def-8123-456789abcdef".into(),
        epoch: 3,
        // Every kind of place.
        to: parse("everything.toml", EVERYTHING).unwrap().cluster.archive.to,
    }
}

fn page() -> String {
    format!("RECOVERY KIT\n\nkeep = \"this\" [page\n{}\nthe end\n", kit().block())
}

#[test]
fn a_page_is_read_as_it_was_written() {
    insta::assert_snapshot!("kit", kit().block());
    assert_eq!(Kit::parse("kit.txt", &page()).unwrap(), kit());
    assert_eq!(Kit::ssh(), parse("x", &minimal()).unwrap().cluster.ssh);
}

fn minimal() -> String {
    let nodes = "cp1 = { address = \"10.0.0.11\", role = \"control-plane\" }";
    format!("[cluster]\nname = \"x\"\nkubernetes = \"1.36.3\"\n[nodes]\n{nodes}\n")
}

#[test]
fn how_lines_end_and_begin_is_not_looked_at() {
    let typed = page().replace('\n', "  \r\n").replace(KIT_BEGIN, &format!("\t {KIT_BEGIN}"));
    assert_eq!(Kit::parse("kit.txt", &typed).unwrap(), kit());
    assert_eq!(Kit::parse("kit.txt", page().trim_end()).unwrap(), kit());
    let block = kit().block();
    assert_eq!(Kit::parse("kit.txt", block.trim_end()).unwrap(), kit());
}

#[test]
fn what_is_no_kit_is_named_with_its_place() {
    let with = |old: &str, new: &str| page().replace(old, new);
    let cases = [
        (String::new(), "there is no recovery kit in it"),
        ("anything\n".repeat(10), "there is no recovery kit in it"),
        ("x".repeat(100_000), "far longer than a page"),
        (with(KIT_END, ""), "kit.txt:4:1"),
        (with(KIT_END, ""), "the kit is cut off"),
        (with(KIT_BEGIN, ""), "a kit ends that did not begin"),
        (page() + &page(), "a second kit begins here"),
        (with(KIT_BEGIN, &format!("{KIT_BEGIN}\n{KIT_BEGIN}")), "a second kit begins here"),
        (with("version = 1", "version = 2"), "a kit of version 2"),
        (with("version = 1\n", ""), "missing field `version`"),
        (with("epoch = 3", "epoch = 0"), "0 is no epoch"),
        (with("epoch = 3", "epoch = -3"), "kit.txt:11:9"),
        (with("epoch = 3", "epoch = 3\nscript = \"rm\""), "unknown field `script`"),
        (with("epoch = 3", "epoch = 3\nepoch = 4"), "duplicate key"),
        (with("cluster = \"prod\"", "cluster = \"\""), "it is no word of a kit"),
        (with("cluster = \"prod\"", "cluster = \"p\\u001b[2Jrod\""), "it is no word of a kit"),
        (with("cluster = \"prod\"", "cluster = \u{201c}prod\u{201d}"), "kit.txt:6:"),
        (with("\"s3://elsewhere/everything\"", "\"ftp://elsewhere\""), "`ftp://` is no kind of place"),
        (with("url = \"./archive\"", "url = \"./archive\"\nrun = \"x\""), "unknown field `run`"),
        (with("url = \"./archive\"\n", ""), "a place without `url`"),
    ];
    for (text, words) in cases {
        let said = Kit::parse("kit.txt", &text).unwrap_err().render(false);
        assert!(said.contains(words), "{words}\n{said}");
    }
    let nowhere = Kit { to: Vec::new(), ..kit() };
    assert!(
        Kit::parse("kit.txt", &nowhere.block()).unwrap_err().render(false).contains("missing field `to`")
    );
}

#[test]
fn every_cut_and_every_flipped_byte_ends_in_words() {
    let block = kit().block();
    let whole = block.trim_end().len();
    for at in (0..whole).filter(|at| block.is_char_boundary(*at)) {
        assert!(Kit::parse("kit.txt", &block[..at]).is_err(), "cut at {at}");
    }
    for at in 0..block.len() {
        for byte in [0, b'"', b'\n', b'[', 0xff] {
            let mut bytes = block.clone().into_bytes();
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes) {
                // Whatever it is, it is no panic; and a kit that comes out of it is one that can be written again.
                if let Ok(read) = Kit::parse("kit.txt", &text) {
                    assert_eq!(Kit::parse("again", &read.block()).unwrap(), read, "{at} {byte}");
                }
            }
        }
    }
}
