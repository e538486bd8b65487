//! Everything that is read is hostile: flips, cuts, swaps and forgeries are found, and nothing panics.

use crate::place::{Memory, STAMP, Set, at, plain, root, root_key, set, words};
use archive::{Digest, Error, Identities, Secret, Standing, Trust};
use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;

const ANCHOR: fn() -> Trust = || Trust::Anchor(root(1));

/// A small archive and its set.
fn small() -> (Memory, Set) {
    let place = Memory::new("memory");
    let set = set(1);
    set.seal(&place.archive(), None).unwrap();
    (place, set)
}

fn open(place: &Memory, identities: &Identities) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    place.archive().open_identity(identities, &ANCHOR()).map(|opened| plain(&opened.entries))
}

/// The value as canonical JSON, written without the crate's own code.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            let fields: Vec<_> =
                sorted.iter().map(|(key, value)| format!("{}:{}", json!(key), canonical(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}

pub fn sign(body: &Value, seed: u8) -> Vec<u8> {
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(root_key(seed).expose()).unwrap();
    let signature = key.sign(canonical(body).as_bytes());
    let hex: String = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    canonical(&json!({ "body": body, "signature": hex })).into_bytes()
}

/// Puts a manifest with this body, signed by the root key, in the place of the one that is there.
fn replace(place: &Memory, body: &Value) -> String {
    place.remove(&place.only("gen/").0);
    let bytes = sign(body, 1);
    let name = format!("gen/1-0-{}.json", &Digest::of(&bytes).to_string()[..8]);
    place.set(&name, bytes);
    name
}

fn body(place: &Memory) -> Value {
    serde_json::from_slice::<Value>(&place.only("gen/").1).unwrap()["body"].take()
}

#[test]
fn every_flipped_bit_is_found() {
    let (place, set) = small();
    let mut flips = 0;
    for (name, bytes) in place.files() {
        if name == "RECOVER.txt" {
            continue;
        }
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // The digit of the version: a later one that this reader may read is no damage.
            if name == "FORMAT" && bit / 8 == bytes.len() - 2 {
                continue;
            }
            place.set(&name, flipped);
            flips += 1;
            // FORMAT and the epoch are not needed to open; damage to them is named.
            let found = match name.as_str() {
                "FORMAT" | "epoch/1.json" => match place.archive().state(&ANCHOR()) {
                    Ok(Standing::Holds(holding)) => holding.rejected.iter().any(|one| one.name == name),
                    Ok(Standing::Empty) => false,
                    Err(_) => true,
                },
                _ => open(&place, &set.identities).is_err(),
            };
            assert!(found, "bit {bit} of {name}");
        }
        place.set(&name, bytes);
    }
    assert!(flips > 20_000, "only {flips} flips were tried");
    assert_eq!(open(&place, &set.identities).unwrap(), plain(&set.entries));
}

#[test]
fn every_cut_and_every_swap_is_found() {
    let (place, set) = small();
    let files = place.files();
    let parts: Vec<_> =
        files.iter().filter(|(name, _)| name.starts_with("objects/") || name.starts_with("gen/")).collect();
    for (name, bytes) in &parts {
        for length in 0..bytes.len() {
            place.set(name, &bytes[..length]);
            assert!(open(&place, &set.identities).is_err(), "{name} cut to {length} bytes");
        }
        for (_, other) in parts.iter().filter(|(other, _)| other != name) {
            place.set(name, other.as_slice());
            assert!(open(&place, &set.identities).is_err(), "{name} swapped");
        }
        place.set(name, [bytes.as_slice(), b"x"].concat());
        assert!(open(&place, &set.identities).is_err(), "{name} with a byte more");
        place.remove(name);
        assert!(open(&place, &set.identities).is_err(), "{name} removed");
        place.set(name, bytes.as_slice());
    }
    assert_eq!(open(&place, &set.identities).unwrap(), plain(&set.entries));
}

#[test]
fn a_lost_or_damaged_object_is_named_and_taken_from_another_place() {
    let (one, set) = small();
    let two = one.copy();
    let name = one.files().into_keys().find(|name| name.starts_with("objects/")).unwrap();
    one.remove(&name);
    let error = open(&one, &set.identities).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{name} is at no destination as it was sealed: memory: it is missing")
    );
    one.set(&name, "short");
    let error = open(&one, &set.identities).unwrap_err();
    assert!(error.to_string().ends_with("memory: it is cut off"), "{error}");
    let opened = at(&[&one, &two]).open_identity(&set.identities, &ANCHOR()).unwrap();
    assert_eq!(plain(&opened.entries), plain(&set.entries));
}

/// A small generator (xorshift64) so that every run tries the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

#[test]
fn two_thousand_mutated_manifests_are_refused() {
    let (place, set) = small();
    let (name, bytes) = place.only("gen/");
    let mut dice = Dice(4711);
    for i in 0..2000 {
        let mut mutated = bytes.clone();
        for _ in 0..=dice.roll(4) {
            let (a, b) = (dice.roll(mutated.len()), dice.roll(mutated.len()));
            let (from, to) = (a.min(b), a.max(b));
            match dice.roll(6) {
                0 => mutated[from] = dice.roll(256) as u8,
                1 => drop(mutated.drain(from..to.min(from + 40))),
                2 => mutated.insert(from, b"{}[]\",:09\\ \n"[dice.roll(12)]),
                3 => mutated.truncate(to.max(1)),
                4 => mutated.extend_from_within(from..to),
                _ => mutated.swap(from, to),
            }
            if mutated.is_empty() {
                mutated.push(b' ');
            }
        }
        if mutated == bytes {
            mutated.push(b' ');
        }
        place.remove(&place.only("gen/").0);
        // Half of them under the name that fits their bytes.
        let fitting = format!("gen/1-0-{}.json", &Digest::of(&mutated).to_string()[..8]);
        place.set(if i % 2 == 0 { &name } else { &fitting }, mutated);
        assert!(open(&place, &set.identities).is_err(), "mutation {i}");
    }
}

#[test]
fn mutated_fields_with_a_good_signature_never_give_other_content() {
    let (place, set) = small();
    let original = body(&place);
    let mut dice = Dice(42);
    let odd = [
        json!(null),
        json!(0),
        json!(u64::MAX),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("\u{1b}[2J"),
        json!("a".repeat(5000)),
        json!([]),
        json!([[[[[[]]]]]]),
        json!({}),
        json!(true),
        json!("00".repeat(32)),
        json!([{ "sha256": "00".repeat(32), "size": 1u64 << 52 }]),
        json!(["../../etc/passwd"]),
    ];
    let fields: Vec<String> = original.as_object().unwrap().keys().cloned().collect();
    let (mut refused, mut same) = (0, 0);
    for _ in 0..2000 {
        let mut body = original.clone();
        for _ in 0..=dice.roll(2) {
            let field = &fields[dice.roll(fields.len())];
            match dice.roll(3) {
                0 => drop(body.as_object_mut().unwrap().remove(field)),
                _ => body[field] = odd[dice.roll(odd.len())].clone(),
            }
        }
        replace(&place, &body);
        match open(&place, &set.identities) {
            Ok(entries) => {
                same += 1;
                assert_eq!(entries, plain(&set.entries), "{body}");
            }
            Err(error) => {
                refused += 1;
                assert!(!words(&error).contains('\u{1b}'), "a terminal would obey: {error}");
            }
        }
    }
    assert!(refused > 1500 && same > 0, "{refused} refused, {same} the same");
}

#[test]
fn a_newer_format_is_refused_with_the_version_that_is_needed() {
    let (place, set) = small();
    let original = body(&place);
    let mut newer = original.clone();
    // Whatever else a newer writer changed.
    (newer["min_reader"], newer["objects"], newer["critical"]) = (json!(7), json!("elsewhere"), json!(["x"]));
    let name = replace(&place, &newer);
    let error = open(&place, &set.identities).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{name} at memory needs a reader of format 7; this rekindle reads formats 1 to 1")
    );
    // A newer set beside one that could be read stops all the same.
    let readable = sign(&original, 1);
    place.set(&format!("gen/1-0-{}.json", &Digest::of(&readable).to_string()[..8]), readable);
    assert!(matches!(open(&place, &set.identities), Err(Error::NewerReader { needs: 7, .. })));

    // But nobody without the key can stop it so.
    let (place, set) = small();
    newer["signer"] = json!(root(2));
    place.set("gen/1-0-00000000.json", sign(&newer, 2));
    assert!(open(&place, &set.identities).is_ok());

    let (place, set) = small();
    let format = String::from_utf8(place.files()["FORMAT"].clone()).unwrap();
    place.set("FORMAT", format.replace("\"min_reader\":1", "\"min_reader\":2"));
    let error = open(&place, &set.identities).unwrap_err();
    assert!(error.to_string().starts_with("FORMAT at memory needs a reader of format 2"), "{error}");
}

#[test]
fn an_unknown_field_is_kept_and_a_critical_one_refused() {
    let (place, set) = small();
    let mut more = body(&place);
    more["provenance"] = json!([{ "node": "cp1" }]);
    replace(&place, &more);
    let opened = place.archive().open_identity(&set.identities, &ANCHOR()).unwrap();
    place.archive().seal_born(&opened.id, &root_key(1), &STAMP).unwrap();
    place.remove(&format!("gen/1-0-{}.json", opened.id.tag()));
    assert_eq!(body(&place)["provenance"], more["provenance"]);
    assert_eq!(body(&place)["born"], json!(true));

    more["critical"] = json!(["provenance"]);
    replace(&place, &more);
    let error = open(&place, &set.identities).unwrap_err();
    let expected = "it has a critical field that this rekindle does not know: `provenance`";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn another_kind_of_set_is_left_alone() {
    let (place, set) = small();
    let body = body(&place);
    let plant = |kind: &str| {
        let mut other = body.clone();
        (other["kind"], other["objects"]) = (json!(kind), json!({ "in": "another form" }));
        let bytes = sign(&other, 1);
        let name = format!("gen/1-0-{}.json", &Digest::of(&bytes).to_string()[..8]);
        place.set(&name, bytes);
        name
    };
    plant("one of the future");
    place.set("gen/1-4711-00000000.json", "a snapshot that some other key signed");
    let opened = place.archive().open_identity(&set.identities, &ANCHOR()).unwrap();
    assert_eq!((plain(&opened.entries), opened.holding.rejected), (plain(&set.entries), vec![]));
    // A payload of another form is named, and no more than that.
    let name = plant("payload");
    let opened = place.archive().open_identity(&set.identities, &ANCHOR()).unwrap();
    assert_eq!((&opened.holding.rejected[0].name, opened.holding.payloads.len()), (&name, 0));
}

#[test]
fn a_damaged_newest_set_is_named_and_the_one_before_is_opened() {
    let (place, set) = small();
    let opened = place.archive().open_identity(&set.identities, &ANCHOR()).unwrap();
    let born = place.archive().seal_born(&opened.id, &root_key(1), &STAMP).unwrap();
    let name = format!("gen/1-0-{}.json", born.id.tag());
    let mut bytes = place.files()[&name].clone();
    bytes[100] ^= 1;
    place.set(&name, bytes);
    let opened = place.archive().open_identity(&set.identities, &ANCHOR()).unwrap();
    assert!(!opened.public.born);
    assert_eq!(opened.holding.rejected[0].name, name);
}

#[test]
fn a_manifest_under_another_name_is_refused() {
    let (place, set) = small();
    let (name, bytes) = place.only("gen/");
    let tag = &name["gen/1-0-".len()..];
    for other in [format!("gen/2-0-{tag}"), "gen/1-0-00000000.json".to_owned()] {
        place.set(&other, bytes.clone());
        let opened = place.archive().open_identity(&set.identities, &ANCHOR()).unwrap();
        assert_eq!((opened.holding.epoch, opened.holding.heads.len()), (1, 1));
        assert_eq!(opened.holding.rejected[0].why, "its name is not that of its content");
        place.remove(&other);
    }
    place.set("epoch/2.json", place.files()["epoch/1.json"].clone());
    let opened = place.archive().open_identity(&set.identities, &ANCHOR()).unwrap();
    assert_eq!((opened.holding.epoch, &*opened.holding.rejected[0].name), (1, "epoch/2.json"));
}

/// An object as the format has it, made without the crate's own code.
fn object(place: &Memory, set: &Set, plain: &[u8]) -> Value {
    let key: age::x25519::Recipient = set.recipients[0].to_string().parse().unwrap();
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&key as _)).unwrap();
    let mut bytes = Vec::new();
    let mut writer = encryptor.wrap_output(&mut bytes).unwrap();
    writer.write_all(&zstd::encode_all(plain, 3).unwrap()).unwrap();
    writer.finish().unwrap();
    let sha256 = Digest::of(&bytes).to_string();
    let size = bytes.len();
    place.set(&format!("objects/{}/{sha256}", &sha256[..2]), bytes);
    json!({ "sha256": sha256, "size": size })
}

/// A set whose private part is made by `private` from an object that holds `content`.
fn forge(content: &[u8], private: impl Fn(&Value) -> Vec<u8>) -> Error {
    let (place, set) = small();
    let mut body = body(&place);
    let held = object(&place, &set, content);
    let part = object(&place, &set, &private(&held["sha256"]));
    let mut objects = vec![held, part.clone()];
    objects.sort_by_key(|object| object["sha256"].to_string());
    (body["objects"], body["private"]) = (json!(objects), part["sha256"].clone());
    replace(&place, &body);
    open(&place, &set.identities).unwrap_err()
}

#[test]
fn bombs_and_lying_private_parts_are_refused() {
    let part = |entries: Value| {
        let rest =
            json!({ "facts": {}, "format": "rekindle-archive", "kind": "identity-private", "schema": 1 });
        let mut part = rest;
        part["entries"] = entries;
        canonical(&part).into_bytes()
    };
    let entry = |name: &str, object: &Value, content: &[u8], size: usize| json!({ "name": name, "object": object, "sha256": Digest::of(content).to_string(), "size": size });
    let zeros = vec![0; 64 << 20];
    let expect = |error: Error, expected: &str| {
        assert!(matches!(error, Error::Content { .. }), "{error}");
        assert!(words(&error).contains(expected), "{}", words(&error));
    };
    expect(forge(b"", |_| zeros.clone()), "does not decompress to the size");
    expect(forge(&zeros, |it| part(json!([entry("x", it, &zeros, 1000)]))), "x does not hold what it should");
    expect(forge(b"abc", |it| part(json!([entry("x", it, b"abc", 4)]))), "does not decompress to the size");
    expect(forge(b"abc", |it| part(json!([entry("x", it, b"abd", 3)]))), "its digest is another");
    expect(forge(b"abc", |it| part(json!([entry("x", it, b"abc", 1 << 40)]))), "`entries`");
    expect(forge(b"abc", |it| part(json!([entry("../x", it, b"abc", 3)]))), "`entries`");
    expect(
        forge(b"abc", |it| part(json!([entry("x", it, b"abc", 3), entry("x", it, b"abc", 3)]))),
        "`entries`",
    );
    expect(
        forge(b"abc", |it| part(json!([entry("x", it, b"abc", 3), entry("x/y", it, b"abc", 3)]))),
        "`entries`",
    );
    expect(forge(b"abc", |_| part(json!([entry("x", &json!("00".repeat(32)), b"", 0)]))), "`entries`");
    expect(forge(b"abc", |_| b"{}".to_vec()), "missing field");
    expect(forge(b"abc", |_| b"junk".to_vec()), "not JSON");
    expect(forge(b"abc", |it| [part(json!([entry("x", it, b"abc", 3)])), vec![b'\n']].concat()), "canonical");
}

#[test]
fn an_object_that_is_no_age_file_is_refused() {
    let (place, set) = small();
    let mut body = body(&place);
    let bytes = b"age-encryption.org/v1\n-> X25519 junk\njunk\n--- junk\n".to_vec();
    let sha256 = Digest::of(&bytes).to_string();
    body["objects"] = json!([{ "sha256": sha256, "size": bytes.len() }]);
    body["private"] = json!(sha256);
    place.set(&format!("objects/{}/{sha256}", &sha256[..2]), bytes);
    replace(&place, &body);
    let error = open(&place, &set.identities).unwrap_err();
    assert!(words(&error).ends_with("it is damaged or not an age file"), "{}", words(&error));
}

#[test]
fn a_damaged_object_is_not_named_again() {
    // The next seal reads each object that it names again; a damaged copy cannot be overwritten, so it is said.
    let (place, set) = small();
    let opened = place.archive().open_identity(&set.identities, &ANCHOR()).unwrap();
    let (name, bytes) = place
        .files()
        .into_iter()
        .find(|(name, bytes)| {
            name.starts_with("objects/")
                && opened.public.private.to_string() != name[11..]
                && !bytes.is_empty()
        })
        .unwrap();
    place.set(&name, vec![0; bytes.len()]);
    let mut changed = crate::place::set(1);
    changed.recipients = set.recipients.clone();
    changed.entries.insert("new".into(), Secret::new(*b"x"));
    let error = changed.seal(&place.archive(), Some(&opened)).unwrap_err();
    assert!(matches!(&error, Error::NotProven { failed } if failed[0].contains(&name)), "{error}");
    assert_eq!(place.count("gen/"), 1);
}
