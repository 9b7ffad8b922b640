//! Files that are not configurations: too big, not text, or built to exhaust the parser.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use gateway_config::{Config, Sources, Vocabulary, load};
use proptest::prelude::*;
use tempfile::TempDir;

fn refusal(content: &[u8]) -> String {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("config.yaml"), content).unwrap();
    let sources = Sources { path: None, environment: HashMap::new(), working_directory: directory.path().to_owned() };
    load(&sources, &Vocabulary::default()).expect_err("refused").to_string()
}

#[test]
fn a_file_of_seventeen_mebibytes_is_refused_unparsed() {
    assert!(refusal(&vec![b'#'; 17 << 20]).contains("larger than 16 MiB"));
}

#[test]
fn binary_is_refused_with_its_line() {
    assert!(refusal(b"auth: none\nserver: \xff\xfe\n").starts_with("config.yaml:2: the file is not UTF-8 text"));
    assert!(refusal(b"\x7fELF\x02\x01\x01\x00\x00").contains("not valid YAML"));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn an_alias_bomb_is_cut_off() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..=10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    let start = Instant::now();
    let refusal = Config::from_yaml(&bomb).unwrap_err().to_string();
    assert!(refusal.contains("not valid YAML"), "{refusal}");
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
}

#[test]
fn deep_nesting_is_cut_off() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let text = format!("a: {}{}", open.repeat(100_000), close.repeat(100_000));
        assert!(Config::from_yaml(&text).unwrap_err().to_string().contains("not valid YAML"));
    }
}

#[test]
fn every_truncation_of_a_file_is_refused_or_read() {
    let text = include_str!("../../../configs/reference-chat.yaml");
    for end in 0..text.len() {
        if let Err(errors) = Config::from_yaml(&text[..end]) {
            assert!(errors.iter().count() > 0);
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "(providers|models|server|name|[-:,{}\\[\\]'\"&*!|>%@#$ \n]|[a-z0-9]){0,60}") {
        let _ = Config::from_yaml(&text);
    }
}
