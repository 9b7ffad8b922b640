//! Callers' keys of which the file only has the digest, as a store exports them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use gateway_config::{Config, KeyMaterial, Loaded, Settings, Sources, Vocabulary};
use gateway_keystore::StoredSettings;
use gateway_secret::{KeyDigest, KeyDigester, Secret};
use tempfile::TempDir;

/// The SHA-256 of `test`, and its HMAC under the pepper `pepper`.
const PLAIN: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn peppered() -> String {
    hex(&KeyDigester::peppered(&Secret::from("pepper")).digest(b"test"))
}

fn hex(digest: &KeyDigest) -> String {
    digest.as_bytes().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn load(yaml: &str) -> Loaded {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("config.yaml"), yaml).unwrap();
    let sources = Sources { working_directory: directory.path().to_owned(), ..Sources::default() };
    let settings = Settings::read(&sources).unwrap();
    settings
        .resolve(Some(&StoredSettings::default()), &Vocabulary::default())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn a_digest_stands_for_its_key() {
    let upper = PLAIN.to_uppercase();
    for digest in [PLAIN.to_owned(), format!("sha256:{PLAIN}"), upper] {
        let loaded = load(&format!("master_keys: [{{ name: a, key_digest: '{digest}', key_preview: te…st }}]\n"));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let key = &loaded.config.master_keys[0].key;
        assert_eq!(key, &KeyMaterial::Digest { digest: KeyDigest::of(b"test"), preview: "te…st".to_owned() });
        assert_eq!(key.digest(&KeyDigester::default()), KeyDigest::of(b"test"));
        assert_eq!((key.preview().as_str(), key.is_weak()), ("te…st", false));
    }
    for digest in [peppered(), format!("hmac-sha256:{}", peppered())] {
        let loaded =
            load(&format!("store: {{ key_pepper: pepper }}\nmaster_keys: [{{ name: a, key_digest: '{digest}' }}]\n"));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let config = loaded.config;
        assert_eq!(config.master_keys[0].key.digest(&config.store.digester()), config.store.digester().digest(b"test"));
        assert_eq!(config.master_keys[0].key.preview(), "");
    }
}

#[test]
fn a_digest_that_no_key_fits_is_doubtful() {
    let plain =
        load(&format!("store: {{ key_pepper: pepper }}\nmaster_keys: [{{ name: a, key_digest: 'sha256:{PLAIN}' }}]\n"));
    let other = load(&format!("master_keys: [{{ name: a, key_digest: 'hmac-sha256:{}' }}]\n", peppered()));
    insta::assert_snapshot!([plain.warnings, other.warnings].concat().join("\n"));
}

#[test]
fn digests_that_are_none_are_refused() {
    let yaml = format!(
        "
master_keys:
  - {{ name: rivals, key: a-key-of-16-letters, key_digest: {PLAIN} }}
  - {{ name: short, key_digest: '{}' }}
  - {{ name: no hex, key_digest: 'sha256:{}' }}
  - {{ name: label, key_digest: 'md5:{PLAIN}' }}
  - {{ name: a key, key_digest: hunter2, key_preview: [] }}
  - {{ name: list, key_digest: [{PLAIN}] }}
  - {{ name: preview, key: another-key-of-more, key_preview: an…re }}
  - {{ name: nothing, key_preview: x }}
  - {{ name: unset, key_digest: '${{UNSET}}' }}
  - {{ name: shape, key_digest: {PLAIN}, key_previw: x }}
",
        &PLAIN[1..],
        PLAIN.replace('9', "é").chars().take(64).collect::<String>()
    );
    let report = Config::from_yaml(&yaml).unwrap_err().to_string();
    assert!(!report.contains("hunter2"), "{report}");
    insta::assert_snapshot!(report);
}

#[test]
fn a_key_and_its_digest_are_the_same_key() {
    let of = |store: &str, digest: &str| {
        format!("{store}\nmaster_keys: [{{ name: a, key: test }}, {{ name: b, key_digest: '{digest}' }}]\n")
    };
    let pepper = "store: { key_pepper: pepper }";
    for (yaml, is_refused) in [
        (of("", PLAIN), true),
        (of("", &peppered()), false),
        (of(pepper, PLAIN), false),
        (of(pepper, &peppered()), true),
        (format!("master_keys: [{{ name: a, key_digest: {PLAIN} }}, {{ name: b, key_digest: {PLAIN} }}]\n"), true),
    ] {
        let report = Config::from_yaml(&yaml).map_err(|errors| errors.to_string());
        assert_eq!(report.is_err(), is_refused, "{yaml}");
        if let Err(report) = report {
            assert!(report.contains("`b` has the same key as `a`; give each caller a key of its own"), "{report}");
        }
    }
    let limited = format!(
        "master_keys: [{{ name: a, key_digest: {PLAIN} }}]\nrate_limit_config: {{ keys: {{ test: {{ limit: 5 }} }} }}\n"
    );
    assert_eq!(Config::from_yaml(&limited).unwrap().master_keys[0].rate_limit.as_ref().unwrap().limit, Some(5));
}
