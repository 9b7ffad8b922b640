use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::tree::Value;
use crate::yaml::by_serde;

/// That a text, if it is read here at all, means the same to the other reader.
fn assert_same(text: &str) -> Result<(), TestCaseError> {
    if let Some(node) = read(text) {
        prop_assert_eq!(Some(node), by_serde(text).ok(), "{}", text);
    }
    Ok(())
}

#[test]
fn what_needs_interpretation_is_left_to_serde() {
    for text in [
        "",
        "# nothing",
        "---",
        "a: &b 1",
        "a: [&b {}]",
        "a: &b 1\nc: *b",
        "a: !!str 1",
        "a: !own {}",
        "<<: { a: 1 }",
        "\"<<\": { a: 1 }",
        "? [a]\n: 1",
        "? a\n: 1",
        "~: 1",
        ": 1",
        "{ null: 1 }",
        "a: *b",
        "a: [",
        "a: [b",
        "a: [b,,c]",
        "a: [b: c]",
        "a: { b }",
        "a: { b, c: d }",
        "a: { b: }",
        "a: { b:c }",
        "a: [b\n]",
        "a: \"",
        "a: 'b",
        "a: \"b\n  c\"",
        "a: 'b\n  c'",
        "a: b\n  c",
        "a:\n  b\n  c",
        "- a\n  b",
        "a: |\n  b\n",
        "a: >-\n  b\n",
        "a: \"\\u00e9\"",
        "a: \"\\x41\"",
        "a:\n\tb: c",
        "a: b\tc",
        "a: b\rc: d",
        "a: b\r",
        "a: @b",
        "a: `b`",
        "a: %b",
        "a: 1\n---\nb: 1",
        "a: 1\n...",
        "--- a",
        "--- {}",
        "---\n---\na: 1",
        "...\na: 1",
        "%YAML 1.2\n---\na: 1",
        "\u{feff}a: b",
        "a: b\u{a0}",
        "a: b\u{2028}c: d",
        "a: b\u{7f}",
    ] {
        assert_eq!(read(text), None, "{text:?}");
    }
}

#[test]
fn what_is_wrong_or_laid_out_oddly_is_left_to_serde() {
    let long_key = format!("{}: 1", "k".repeat(1_100));
    for text in [
        "a: b: c",
        "a: - b",
        "a: 'b' c",
        "a: [b] c",
        "a: 'b'# c",
        "a: [b]# c",
        "[a]: b",
        "'a':b",
        "a: 1\n  b: 2",
        "  a: 1\nb: 2",
        "a:\n    b: 1\n  c: 2",
        "- a\nb: c",
        "a:\n  - b\n  c: d",
        "-",
        "a:\n-\n  b: c",
        "- a\n-\n- b",
        &long_key,
    ] {
        assert_eq!(read(text), None, "{text:?}");
    }
}

#[test]
fn what_is_nested_too_deep_is_left_to_serde() {
    let brackets = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let dashes = |depth: usize| format!("{}1", "- ".repeat(depth));
    for (fits, does_not) in [
        (brackets(MAX_DEPTH), brackets(MAX_DEPTH + 1)),
        (dashes(MAX_DEPTH), dashes(MAX_DEPTH + 1)),
        (format!("a: {}", brackets(MAX_DEPTH - 1)), format!("a: {}", brackets(MAX_DEPTH))),
    ] {
        assert_eq!((read(&fits).is_some(), read(&does_not)), (true, None));
        assert!(by_serde(&fits).is_ok() && by_serde(&does_not).is_err());
    }
}

#[test]
fn what_people_and_programs_write_is_plain() {
    for text in [
        include_str!("../../../../../configs/full.yaml"),
        include_str!("../../../../../configs/reference-chat.yaml"),
        "a: [1, 0x1F, 010, 1_000, .5, .inf, 1e999, -0, True, yes, ~, 'null', \"\\n\\\"\"]\r\nb:\r\n  - c\r\n\r\n  # d\r\n",
        "a: 'it''s'\nb: it's\n\"c\": d#e # f\n1: 2\ntrue: false\nhttp://g: http://h:80/i?j=k#l\nm : n o  \n",
        "---\n# before\na:   # after\n # further out\n  b:\n\n    - - c\n      - d: e\n        f:\n        - g\n    -   h: i\n        j:\n# end",
        "a: é😀\né: { 'ü': ö, ä: [ß] }\n",
        "{\n  \"a\": {\"b\":1,\"c\":[true,null,\"d\",],},\n  \"e\" : {} # f\n}\n",
        "a: [ # b\n  c,\n  # d\n  e ]\nf:\n  - [g,\n    h]\n  - {}\n",
        "- a\n- b: c\n  d: e\n- -1\n- -f\n- \n  g: h\n-\n    - i\n",
        "a:\n  b\nc:\n  'd'\n",
        "a:\n- b\n- c\nd:\ne: ~\nf: null\n",
        "  a: b\n  c: d\n",
        "a: 1\na: 2\n",
        "a",
        "'a' # b",
        "[]",
    ] {
        let node = read(text).unwrap_or_else(|| panic!("not plain: {text}"));
        assert_eq!(Some(node), by_serde(text).ok(), "{text}");
    }
}

/// Pieces of lines, most of them such as are read here, with something odd among them now and then.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-c]{1,2}",
        1 => Just("'it''s'".to_owned()),
        1 => Just("\"d\\\\\"".to_owned()),
        1 => "(a b|a:b|a#b|it's|é|😀|1|0x1|1\\.5|true|http://a|-a|a-|a'b\"|a\\[|a,b|'1'|'~')",
        1 => "(<<|~|null|a #b|\"\"|:a|\\?a|\\? a|'a|a: b|\\[a\\])",
    ]
}

fn scalar() -> impl Strategy<Value = String> {
    let quoted = prop_oneof!["'[a-c:#, é]{0,3}('')?'", "\"[a-c:#, {}é]{0,3}(\\\\[nt\"\\\\u])?\""];
    prop_oneof![
        16 => "[a-c]{1,3}",
        3 => quoted,
        3 => "(~|null|Null|yes|true|FALSE|0[0-9]|0x[0-9a-f]|0o7|1e[0-9]{1,4}|-?[0-9]{1,25}|\\.inf|-\\.INF|\\.nan|1_0|12:30|\\+1)",
        3 => "[a:#,'\"\\-.é?&*!]{1,4}",
        3 => "(a: b|a #b|a# b|a :b|a::|- a|a:|it's|a, b|http://a:1/b\\?c=d#e|--- a|\\.\\.\\.|a  b|a:b|-a|'a'b|\"a\" b|\\$\\{a\\}|😀 é)",
        1 => "([|>][-+]?|\\[a|&a b|\\*a|!a b|!!str 1|@a|%a|a\tb|a[\u{7f}\u{85}\u{a0}\u{2028}\u{feff}]b?)",
    ]
}

fn flow() -> impl Strategy<Value = String> {
    let gap = || "( |  |\n|\n {1,5}|\n  # a\n   | # a: b\n  )?";
    scalar().prop_recursive(3, 12, 4, move |inner| {
        let (list, map) = (inner.clone(), inner);
        let entry =
            (key(), "(: |:|: |: | : |:\n  )", map, gap()).prop_map(|(k, colon, v, gap)| format!("{k}{colon}{v}{gap}"));
        let end = || "(, ?)?";
        prop_oneof![
            (prop::collection::vec((list, gap()).prop_map(|(item, gap)| item + &gap), 0..4), gap(), end())
                .prop_map(|(items, gap, end)| format!("[{gap}{}{end}]", items.join(&format!(",{gap}")))),
            (prop::collection::vec(entry, 0..4), gap(), end())
                .prop_map(|(entries, gap, end)| format!("{{{gap}{}{end}}}", entries.join(&format!(",{gap}")))),
        ]
    })
}

/// A block with lines of its own, none of them indented; what is in it is indented by something.
fn block() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![4 => scalar(), 1 => flow(), 1 => Just(String::new())];
    let line = (key(), "(: |:  |:| : |: |: )", leaf.clone(), tail())
        .prop_map(|(k, colon, v, tail)| format!("{k}{colon}{v}{tail}\n"));
    let item = (leaf, tail()).prop_map(|(v, tail)| format!("- {v}{tail}\n"));
    let odd = "(\\? a\n|\\? a\n: b\n|-\n|---\n|\\.\\.\\.\n|a\n|\t\n)";
    let lines = prop_oneof![16 => line, 16 => item, 1 => odd].prop_recursive(4, 24, 4, |inner| {
        let block = (prop::collection::vec(inner, 1..4), 0..16_usize).prop_map(|(lines, odd)| matching(lines, odd > 0));
        let nested = (key(), tail(), 0..5_usize, block.clone())
            .prop_map(|(k, tail, by, block)| format!("{k}:{tail}\n{}", indented(&block, by)));
        let compact = ("-( |  |   )", block.clone(), 0..8_usize).prop_map(|(dash, block, odd)| {
            let by = if odd == 0 { 1 } else { dash.len() };
            dash + indented(&block, by).trim_start_matches(' ')
        });
        let beside = ("- {0,2}", tail(), 0..5_usize, block.clone())
            .prop_map(|(dash, tail, by, block)| format!("{dash}{tail}\n{}", indented(&block, by)));
        prop_oneof![nested, compact, beside, block]
    });
    (prop::collection::vec(lines, 1..4), 0..16_usize).prop_map(|(lines, odd)| matching(lines, odd > 0))
}

/// A block from the beginning of a file to its end.
fn file() -> impl Strategy<Value = String> {
    let indent = prop_oneof![8 => Just(0), 1 => 1..4_usize];
    let block = (block(), indent).prop_map(|(block, by)| indented(&block, by));
    let end = prop_oneof![6 => Just(None), 1 => Just(Some("\r\n")), 1 => Just(Some("\n"))];
    ("(---\n|\n|# é\n)?", block, end, any::<bool>()).prop_map(|(begin, block, end, is_ended)| {
        let block = if is_ended { &block } else { block.trim_end_matches('\n') };
        let text = begin + block;
        end.map_or(text.clone(), |end| text.replace("\r\n", "\n").replace('\n', end))
    })
}

/// Lines of one block, which has either keys or elements if it `is_even`.
fn matching(mut lines: Vec<String>, is_even: bool) -> String {
    let begin = |line: &String| line.starts_with('-') && is_blank(line.as_bytes().get(1).copied());
    if is_even && let Some(first) = lines.first().map(begin) {
        lines.retain(|line| begin(line) == first);
    }
    lines.concat()
}

/// The end of a line, and what may stand before the next one.
fn tail() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 1 => "( {1,2}| # a: b|#a|  #)", 1 => "\n( {0,6}| {0,4}# a: b)?", 1 => Just("\r".to_owned())]
}

fn indented(block: &str, by: usize) -> String {
    let lines = block.split_inclusive('\n');
    lines.map(|line| if line.trim().is_empty() { line.to_owned() } else { " ".repeat(by) + line }).collect()
}

/// A flow collection from the beginning of a file to its end.
fn flow_file() -> impl Strategy<Value = String> {
    (flow(), "(|a: |é: |- )", "\n?").prop_map(|(flow, begin, end)| begin + &flow + &end)
}

fn bytes() -> impl Strategy<Value = String> {
    "(a|b: |- |\n|\n  |\n    |: |, |[-:,{}\\[\\]'\"&*!|>%@#$<~?\t\r \n]|\\.inf|null|[0-9a-fox_.+é]){0,40}"
}

fn lines() -> impl Strategy<Value = String> {
    const LINE: &str = "( {0,4})(- ){0,2}((a|b|1|'c'|\"d\\\\n\"|it's|a:b|a#) ?: ?)?(~|null|yes|0[0-9]|-?[0-9]{1,25}|[|>]|\\[a, b: c\\]|\\{a: , b\\}|\\{a: 1,|b: 2 \\}|\\[|\\]|#e|a ?:| ){0,2}( *# e)?";
    (prop::collection::vec(LINE, 0..10), "(\n|\r\n)").prop_map(|(lines, end)| lines.join(&end))
}

/// How many of a thousand texts are read here, and are more than one scalar.
fn count_of_read(texts: &impl Strategy<Value = String>) -> usize {
    let mut runner = TestRunner::deterministic();
    let mut text = || texts.new_tree(&mut runner).unwrap().current();
    let is_collection = |node: &Node| matches!(node.value, Value::Sequence(_) | Value::Mapping(_));
    (0..1_000).filter(|_| read(&text()).as_ref().is_some_and(is_collection)).count()
}

#[test]
fn enough_of_what_is_compared_is_read_here() {
    let counts =
        [count_of_read(&bytes()), count_of_read(&lines()), count_of_read(&flow_file()), count_of_read(&file())];
    let least = [15, 25, 300, 200];
    assert!(counts.iter().zip(least).all(|(count, least)| *count >= least), "{counts:?} of a thousand, not {least:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_read_is_what_serde_makes_of_it(text in bytes()) {
        assert_same(&text)?;
    }

    #[test]
    fn lines_are_what_serde_makes_of_them(text in lines()) {
        assert_same(&text)?;
    }

    #[test]
    fn flow_collections_are_what_serde_makes_of_them(text in flow_file()) {
        assert_same(&text)?;
    }

    #[test]
    fn blocks_are_what_serde_makes_of_them(text in file()) {
        assert_same(&text)?;
    }
}
