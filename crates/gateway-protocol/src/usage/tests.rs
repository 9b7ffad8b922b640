use super::*;

fn read(usage: &str) -> Option<Usage> {
    read_usage(usage.as_bytes(), &mut Scanner::new(usage.as_bytes())).ok().flatten()
}

#[test]
fn every_vendors_names_are_known() {
    for (usage, prompt, completion, cached) in [
        (
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}}"#,
            10,
            5,
            4,
        ),
        (
            r#"{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"audio_tokens":1,"cached_tokens":4}}"#,
            10,
            5,
            4,
        ),
        (r#"{"prompt_tokens":8,"total_tokens":8}"#, 8, 0, 0),
        (r#"{"total_tokens":8}"#, 8, 0, 0),
        (r#"{"completion_tokens":3}"#, 0, 3, 0),
        (r#"{"completion_tokens":3,"total_tokens":8}"#, 5, 3, 0),
        (r#"{"prompt_tokens":0,"input_tokens":8,"output_tokens":3,"completion_tokens":0}"#, 8, 3, 0),
        (r#"{ "prompt\u005ftokens" : 8 , "prompt_tokens_details" : null }"#, 8, 0, 0),
        (r#"{"prompt_tokens":8,"completion_tokens":3,"total_tokens":30}"#, 8, 22, 0),
        (r#"{"prompt_tokens":8,"completion_tokens":3,"total_tokens":0}"#, 8, 3, 0),
        (r#"{"prompt_tokens":8,"prompt_tokens_details":{"cached_tokens":9}}"#, 8, 0, 8),
    ] {
        assert_eq!(read(usage), Some(Usage { prompt, completion, cached }), "{usage}");
    }
}

#[test]
fn what_is_no_number_of_tokens_is_not_counted() {
    for usage in [
        "null",
        "7",
        "{}",
        "[1]",
        r#"{"prompt_tokens":null}"#,
        r#"{"prompt_tokens":-1}"#,
        r#"{"prompt_tokens":1.5,"completion_tokens":1e3}"#,
        r#"{"prompt_tokens":"10","total_tokens":[10]}"#,
        r#"{"prompt_tokens":9007199254740993}"#,
        r#"{"usage":{"prompt_tokens":1}}"#,
        r#"{"prompt_tokens_details":{"cached_tokens":9}}"#,
    ] {
        assert_eq!(read(usage), None, "{usage}");
    }
    let partly =
        r#"{"prompt_tokens":99999999999999999999,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":1}}"#;
    assert_eq!(read(partly), Some(Usage { prompt: 0, completion: 3, cached: 0 }));
}
