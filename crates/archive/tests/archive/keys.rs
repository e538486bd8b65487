//! Identities, recipients and root keys, as people have them.

use crate::place::{Memory, plain, root, root_key, set, words};
use archive::{Error, Identities, NewIdentity, Recipient, RootKey, RootPublic, Secret, Trust};
use base64::Engine as _;

// Made with `ssh-keygen -t ed25519 -N ''` and with a passphrase, for this test alone.
const SSH_KEY: &str = include_str!("golden/ssh_ed25519");
const SSH_PUBLIC: &str = include_str!("golden/ssh_ed25519.pub");
const SSH_ENCRYPTED: &str = include_str!("golden/ssh_ed25519_passphrase");

fn identities(text: &str) -> Result<Identities, Error> {
    Identities::parse(&Secret::new(text), "key.txt")
}

#[test]
fn a_new_identity_is_a_file_as_age_keygen_writes_it() {
    let new = NewIdentity::mint("2026-11-24T12:00:00Z").unwrap();
    let text = String::from_utf8(new.file.expose().to_vec()).unwrap();
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(lines[0], "# created: 2026-11-24T12:00:00Z");
    assert_eq!(lines[1], format!("# public key: {}", new.recipient));
    assert!(lines[2].starts_with("AGE-SECRET-KEY-1") && lines[2].len() == 74);
    assert_eq!(lines[3..], [""]);
    assert!(!format!("{new:?}").contains("AGE-SECRET-KEY"));
    assert_ne!(new.file.expose(), NewIdentity::mint("2026-11-24T12:00:00Z").unwrap().file.expose());
}

#[test]
fn each_recipient_alone_opens() {
    let place = Memory::new("memory");
    let other = NewIdentity::mint("x").unwrap();
    let mut set = set(1);
    set.recipients.extend([other.recipient.clone(), SSH_PUBLIC.parse().unwrap()]);
    set.seal(&place.archive(), None).unwrap();
    let file = String::from_utf8(other.file.expose().to_vec()).unwrap();
    for text in [file.as_str(), &file.replace('\n', "\r\n"), SSH_KEY, SSH_KEY.trim_end()] {
        let opened = place.archive().open_identity(&identities(text).unwrap(), &Trust::FirstUse).unwrap();
        assert_eq!(plain(&opened.entries), plain(&set.entries));
        assert!(
            opened.public.recipients.iter().any(|text| SSH_PUBLIC.starts_with(text)),
            "the comment is kept"
        );
    }
    let strange = NewIdentity::mint("x").unwrap();
    let strange = Identities::parse(&strange.file, "strange").unwrap();
    let error = place.archive().open_identity(&strange, &Trust::FirstUse).unwrap_err();
    assert!(matches!(&error, Error::WrongIdentity { recipients } if recipients.len() == 3), "{error}");
    assert!(error.to_string().contains(&other.recipient.to_string()));
    // The right one among wrong ones.
    let both = strange.and(identities(&file).unwrap());
    assert!(place.archive().open_identity(&both, &Trust::FirstUse).is_ok());
}

#[test]
fn what_is_no_identity_is_refused_without_a_word_of_it() {
    let marked = "AGE-SECRET-KEY-1MARKEDMARKEDMARKED";
    let long = "#\n".repeat(40_000);
    let cases = [
        ("", "there is no key"),
        ("# only a comment\n", "there is no key"),
        (marked, "a line is not"),
        ("age1marked", "that is a public key"),
        (SSH_PUBLIC, "that is a public key"),
        (SSH_ENCRYPTED, "has a passphrase"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nMARKED\n", "not a whole SSH"),
        (&SSH_KEY[..200], "not a whole SSH"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMARKED\n", "of PEM files"),
        ("age-encryption.org/v1\n-> scrypt MARKED", "encrypted itself"),
        ("AGE-PLUGIN-YUBIKEY-1MARKED", "plugins"),
        (&long, "too long"),
    ];
    for (text, expected) in cases {
        let error = identities(text).unwrap_err().to_string();
        assert!(error.starts_with("key.txt is not an identity") && error.contains(expected), "{error}");
        assert!(!error.to_lowercase().contains("marked"), "{error}");
    }
    let error = Identities::parse(&Secret::new(vec![0xff, 0xfe]), "key.txt").unwrap_err();
    assert!(error.to_string().ends_with("it is not text"));
}

#[test]
fn recipients_have_one_spelling() {
    let new = NewIdentity::mint("x").unwrap().recipient.to_string();
    let ssh = SSH_PUBLIC.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    for (text, shown) in [(new.clone(), &new), (format!(" {new}\n"), &new), (SSH_PUBLIC.to_owned(), &ssh)] {
        assert_eq!(text.parse::<Recipient>().unwrap().to_string(), *shown);
    }
    let secret = NewIdentity::mint("x").unwrap().file;
    let secret = String::from_utf8(secret.expose().to_vec()).unwrap();
    let secret = secret.lines().last().unwrap();
    for text in ["", "age1", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAAB3NzaC1yc2E= x", "a b c", secret]
    {
        let error = text.parse::<Recipient>().unwrap_err();
        assert!(matches!(error, Error::Recipient { .. }), "{error}");
        assert!(!error.to_string().contains(&secret[16..]), "a secret key is repeated");
    }
}

#[test]
fn a_root_key_is_read_as_der_and_as_pem() {
    let der = root_key(1);
    let body = base64::engine::general_purpose::STANDARD.encode(der.expose());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    assert_eq!(RootKey::parse(&Secret::new(pem.clone())).unwrap().public().unwrap(), root(1));
    let text = root(1).to_string();
    assert_eq!(text.parse::<RootPublic>().unwrap(), root(1));
    // RFC 8032 has no vector for this seed; OpenSSL gave this public key.
    assert_eq!(text, "ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
    for bytes in [&b""[..], b"x", b"-----BEGIN PRIVATE KEY-----", &pem.as_bytes()[..60], &der.expose()[..40]]
    {
        let error = RootKey::parse(&Secret::new(bytes)).unwrap_err();
        assert!(matches!(error, Error::RootKey), "{}", words(&error));
    }
    for wrong in ["", "ed25519:", &text[8..], &text.to_uppercase(), &text[..71], &format!("{text}0")] {
        assert!(wrong.parse::<RootPublic>().is_err(), "{wrong}");
    }
}
