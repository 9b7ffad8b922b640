//! Rows that nobody would write, but by hand or in anger.

use super::*;

fn left_out_of(settings: &str) -> String {
    let loaded = resolved("auth: none\nproviders: [{ name: file }]\n", &stored([record(PROVIDER, "a", settings)]));
    assert_eq!(loaded.config.providers.len(), 1);
    loaded.left_out[0].to_string()
}

#[test]
fn texts_that_are_no_object_are_left_out() {
    let texts = [
        "",
        " \n",
        "null",
        "[]",
        "\"text\"",
        "1",
        "{",
        "{\"a\": ",
        "{}{}",
        "{} x",
        "--- {}\n--- {}",
        "\u{0}",
        "a: *b",
        "# nothing",
        "\u{feff}",
        "%YAML 9.9\n---\n{}",
    ];
    let accounts: Vec<String> = texts.iter().map(|text| format!("{text:?}\n    {}", left_out_of(text))).collect();
    insta::assert_snapshot!(accounts.join("\n"));
}

#[test]
fn texts_without_measure_are_left_out() {
    let mapping = |count: usize| {
        let names: Vec<String> = (0..count).map(|index| format!("\"{index:06}\": \"x\"")).collect();
        format!("{{\"model_mapping\": {{{}}}}}", names.join(","))
    };
    let ten_thousand = stored([record(PROVIDER, "a", &mapping(10_000))]);
    assert_eq!(resolved("auth: none\n", &ten_thousand).config.providers[0].model_mapping.len(), 10_000);
    assert!(left_out_of(&mapping(80_000)).ends_with("the settings are larger than 1 MiB"));

    let deep = |depth: usize| format!("{{\"headers\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    insta::assert_snapshot!("too_deep", left_out_of(&deep(100)));
    insta::assert_snapshot!("far_too_deep", left_out_of(&deep(400_000)));

    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n\
        d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n";
    insta::assert_snapshot!("an_alias_bomb", left_out_of(bomb));
}

#[test]
fn a_row_of_nonsense_is_cut_to_a_readable_length() {
    let members: Vec<String> = (0..30_000).map(|index| format!("\"wieght{index}\": 1")).collect();
    let account = left_out_of(&format!("{{{}}}", members.join(",")));
    assert_eq!(account.matches("unknown key").count(), 100);
    assert!(account.ends_with("; and 29900 more"), "{}", &account[account.len() - 100..]);
}

#[test]
fn json_as_other_programs_write_it_is_understood() {
    let texts = [
        "{\n\t\"weight\": 2,\n\t\"model_mapping\": {\n\t\t\"a\": \"b\"\n\t}\n}",
        "{\"weight\":2,\"model_mapping\":{\"a\":\"b\"}}",
        "\r\n{ \"weight\" : 2 ,\r\n \"model_mapping\" : { \"a\" :\"b\" } }\r\n",
        "weight: 2\nmodel_mapping: { a: b }\n",
    ];
    for text in texts {
        let loaded = resolved("auth: none\n", &stored([record(PROVIDER, "a", text)]));
        assert!(loaded.left_out.is_empty(), "{text:?}: {}", account(&loaded));
        let provider = &loaded.config.providers[0];
        assert_eq!((provider.weight, provider.model_mapping.len()), (2, 1), "{text:?}");
    }
}
