use proptest::prelude::*;

use super::*;

fn ring(keys: &[u8]) -> Sealing {
    let keys: Vec<_> = keys.iter().map(|byte| STANDARD.encode([*byte; KEY_LENGTH])).collect();
    Sealing::new(Some(Arc::new(Vault::new(&Secret::from(keys.join(","))).unwrap())))
}

const HERE: Place<'static> = Place { kind: SettingsKind::Provider, name: "here" };

#[test]
fn keys_are_read_in_either_form() {
    let hex = "ab".repeat(KEY_LENGTH);
    for text in [
        hex.clone(),
        hex.to_uppercase(),
        format!("  {hex}\n"),
        STANDARD.encode([0xAB; KEY_LENGTH]),
        STANDARD_NO_PAD.encode([0xAB; KEY_LENGTH]),
        URL_SAFE.encode([0xAB; KEY_LENGTH]),
    ] {
        let sealing = Sealing::new(Some(Arc::new(Vault::new(&Secret::from(text.as_str())).unwrap())));
        let written = sealing.seal(HERE, &Secret::from("{}")).unwrap();
        assert!(ring(&[0xAB]).open(HERE, &written).is_ok(), "{text}");
    }
    assert!(Vault::new(&Secret::from(format!("{hex}, {}", STANDARD.encode([1; KEY_LENGTH])))).is_ok());
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    let hex = "ab".repeat(KEY_LENGTH);
    for (text, number) in [
        (String::new(), 1),
        ("geheim".to_owned(), 1),
        ("geheim".repeat(10), 1),
        (hex[1..].to_owned(), 1),
        (format!("{hex}ab"), 1),
        (format!("{hex},"), 2),
        (format!("{hex},geheim"), 2),
        (STANDARD.encode([1; 31]), 1),
        (STANDARD.encode([1; 33]), 1),
    ] {
        let error = Vault::new(&Secret::from(text.as_str())).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains(&format!("key {number} of")) && said.contains("openssl rand -hex 32"), "{said}");
        assert!(!said.contains("geheim") && !said.contains("abab"), "{said}");
    }
}

#[test]
fn nothing_is_shown() {
    assert_eq!(format!("{:?}", ring(&[7])), "Sealing(Some(Vault(…)))");
}

#[test]
fn a_secret_is_sealed_differently_each_time() {
    let sealing = ring(&[1]);
    let seal = || sealing.seal(HERE, &Secret::from("{}")).unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn what_is_in_clear_is_read_with_a_key_and_without() {
    for sealing in [ring(&[1]), Sealing::default()] {
        assert_eq!(sealing.open(HERE, r#"{"api_key":"x"}"#).unwrap().expose(), r#"{"api_key":"x"}"#);
    }
    let written = ring(&[1]).seal(HERE, &Secret::from("{}")).unwrap();
    assert!(Sealing::default().open(HERE, &written).unwrap_err().contains("there is no STORE_ENCRYPTION_KEY"));
    assert!(ring(&[2]).open(HERE, &written).unwrap_err().contains("does not have"));
}

#[test]
fn only_what_the_newest_key_has_sealed_is_as_it_would_be_written() {
    let secret = Secret::from("{}");
    let (old, new) = (ring(&[1]), ring(&[2, 1]));
    let by_old = old.seal(HERE, &secret).unwrap();
    assert!(old.is_written(HERE, &secret, &by_old) && !new.is_written(HERE, &secret, &by_old));
    assert!(new.is_written(HERE, &secret, &new.seal(HERE, &secret).unwrap()));
    assert!(!old.is_written(HERE, &Secret::from("[]"), &by_old));
    assert!(!old.is_written(HERE, &secret, "{}") && Sealing::default().is_written(HERE, &secret, "{}"));
    assert!(!Sealing::default().is_written(HERE, &secret, &by_old));
}

proptest! {
    #[test]
    fn what_is_sealed_opens_with_every_key_of_the_ring_and_no_other(text: String, name: String, keys in 1_usize..4, by: prop::sample::Index) {
        let all = [1, 2, 3];
        let sealer = by.index(keys);
        for kind in SettingsKind::ALL {
            let place = Place { kind, name: &name };
            let written = ring(&all[sealer..keys]).seal(place, &Secret::from(text.as_str())).unwrap();
            let opened = ring(&all[..keys]).open(place, &written).unwrap();
            prop_assert_eq!(opened.expose(), &text);
            let others: Vec<_> = all.into_iter().filter(|key| *key != all[sealer]).collect();
            prop_assert!(ring(&others).open(place, &written).is_err());
        }
    }

    #[test]
    fn what_is_sealed_opens_nowhere_else(text: String, name: String, other: String) {
        let sealing = ring(&[1]);
        let place = Place { kind: SettingsKind::Provider, name: &name };
        let written = sealing.seal(place, &Secret::from(text)).unwrap();
        let model = Place { kind: SettingsKind::Model, ..place };
        prop_assert!(sealing.open(model, &written).is_err());
        prop_assume!(name != other);
        let elsewhere = Place { name: &other, ..place };
        prop_assert!(sealing.open(elsewhere, &written).is_err());
    }

    /// Nor does what is cut off or longer, or is another text of the same bytes.
    #[test]
    fn what_was_changed_does_not_open(text: String, at: prop::sample::Index, bit in 0_u32..8, cut: prop::sample::Index) {
        let sealing = ring(&[1]);
        let written = sealing.seal(HERE, &Secret::from(text)).unwrap();
        let sealed = written.strip_prefix(SEALED).unwrap();
        let mut bytes = STANDARD.decode(sealed).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let changed = format!("{SEALED}{}", STANDARD.encode(bytes));
        prop_assert!(sealing.open(HERE, &changed).is_err());
        let cut = &written[..SEALED.len() + cut.index(sealed.len())];
        prop_assert!(sealing.open(HERE, cut).is_err());
        let (longer, other) = (format!("{written}A"), format!("{written}="));
        prop_assert!(sealing.open(HERE, &longer).is_err() && sealing.open(HERE, &other).is_err());
    }
}
