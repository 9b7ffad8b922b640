//! What a call is expected to take, which is what it is let through for: its prompt, and the longest answer that it allows.

use gateway_testing::{Answer, Script};
use gateway_tests::form::{BOUNDARY, Form};
use gateway_tests::stage::{CALL, CHAT, Stage};
use http::{HeaderValue, header};

use super::scene::{asking, call, number, reporting, request, settled, stage};

/// More than any call here takes.
const MANY: &str = "rate_limit: { tokens_per_minute: 100000 }";

/// Ten tokens of the vocabulary that the gateway counts by; as a message it is three more.
const TEN: &str = "The quick brown fox jumps over the lazy dog.";

/// What is taken for a call of a key that has spent nothing.
fn taken(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 200, "{}", answer.text());
    number(answer, "x-ratelimit-limit-tokens") - number(answer, "x-ratelimit-remaining-tokens")
}

#[tokio::test]
async fn the_prompt_and_the_longest_answer_are_taken() {
    let messages = format!(r#""messages":[{{"role":"user","content":"{TEN}"}}]"#);
    let rows = [
        (CHAT, r#""max_tokens":50"#.to_owned(), 50),
        (CHAT, r#""max_completion_tokens":70"#.to_owned(), 70),
        (CHAT, r#""max_tokens":50,"max_completion_tokens":70"#.to_owned(), 70),
        (CHAT, r#""max_tokens":50,"n":3"#.to_owned(), 150),
        (CHAT, format!(r#"{messages},"max_tokens":0"#), 13),
        (CHAT, format!(r#"{messages},"max_tokens":40,"stream":false"#), 53),
        (CHAT, r#""messages":[{"role":"user","content":""}],"max_tokens":7"#.to_owned(), 7),
        // A picture is not read as text, however long its address.
        (
            CHAT,
            format!(
                r#""max_tokens":1,"messages":[{{"role":"user","content":[{{"type":"text","text":"{TEN}"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}]}}]"#,
                "A".repeat(10_000)
            ),
            14,
        ),
        ("/v1/completions", format!(r#""prompt":"{TEN}","max_tokens":10"#), 23),
        ("/v1/completions", r#""prompt":[1,2,3,4,5],"max_tokens":10"#.to_owned(), 15),
        ("/v1/completions", r#""prompt":"","max_tokens":10,"best_of":4"#.to_owned(), 40),
        ("/v1/responses", format!(r#""input":"{TEN}","max_output_tokens":40"#), 53),
        // What answers with numbers, pictures or sound answers with no tokens.
        ("/v1/embeddings", format!(r#""input":"{TEN}""#), 13),
        ("/v1/embeddings", format!(r#""input":["{TEN}","{TEN}"]"#), 26),
        ("/v1/embeddings", r#""input":[[1,2,3],[4,5]]"#.to_owned(), 5),
        ("/v1/moderations", format!(r#""input":"{TEN}""#), 13),
        ("/v1/rerank", format!(r#""query":"{TEN}","documents":["{TEN}"]"#), 26),
    ];
    let names: Vec<_> = (0..rows.len()).map(|number| format!("team-{number}")).collect();
    let stage = stage(&names.iter().map(|name| (&**name, MANY)).collect::<Vec<_>>()).await;
    for (name, (path, members, expected)) in names.iter().zip(rows) {
        let body = format!(r#"{{"model":"gpt-4o",{members}}}"#);
        let answer = stage.send(request(name, "POST", path, body.clone())).await;
        assert_eq!(taken(&answer), expected, "{path} {body:.200}");
    }
}

/// Counting a long prompt takes long enough to be done elsewhere. It is the same count.
#[tokio::test]
async fn a_long_prompt_is_counted() {
    let stage = stage(&[("team-a", MANY)]).await;
    let sentences = 7_000;
    let text = format!("{TEN} ").repeat(sentences);
    let body = format!(r#"{{"model":"gpt-4o","max_tokens":0,"messages":[{{"role":"user","content":"{text}"}}]}}"#);
    assert!(body.len() > 300_000);
    let taken = taken(&call(&stage, "team-a", body).await);
    let expected = 10 * sentences as u64;
    assert!((expected..expected * 101 / 100).contains(&taken), "{taken} tokens, not about {expected}");
}

/// A call that does not say how long its answer may be is taken to be like those before it, whoever made those.
#[tokio::test]
async fn without_a_bound_the_answer_is_expected_to_be_like_those_before() {
    let names = ["first", "second", "third", "fourth"];
    let stage = stage(&names.map(|name| (name, MANY))).await;
    stage.upstream.otherwise(|_| Script::json(200, r#"{"choices":[]}"#));
    stage.upstream.push(reporting(0, 40));
    assert_eq!(taken(&settled(&stage, "first", CALL).await), 500, "nothing is known yet");
    // An eighth of the way from 40 to 200.
    stage.upstream.push(reporting(0, 200));
    assert_eq!(taken(&settled(&stage, "second", CALL).await), 40);
    assert_eq!(taken(&settled(&stage, "third", CALL).await), 60);
    // An answer of which nothing is reported is no news.
    let twice = r#"{"model":"gpt-4o","n":2}"#;
    assert_eq!(taken(&settled(&stage, "fourth", twice).await), 120);
}

/// What nobody has asked for is a guess, which must not make a call impossible that the key could make.
#[tokio::test]
async fn a_guess_is_never_more_than_there_is() {
    let few = "rate_limit: { tokens_per_minute: 300 }";
    let stage = stage(&[("plain", few), ("prompt", few), ("asked", few)]).await;
    stage.upstream.otherwise(|_| Script::json(200, r#"{"choices":[]}"#));
    assert_eq!(taken(&call(&stage, "plain", CALL).await), 300);
    let body = format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{TEN}"}}]}}"#);
    assert_eq!(taken(&call(&stage, "prompt", body).await), 300, "13 of them are for the prompt");
    // What the caller asks for is no guess.
    assert_eq!(call(&stage, "asked", asking(301)).await.status, 429);
}

async fn upload(stage: &Stage, name: &str) -> Answer {
    let body = Form::new().field("model", "gpt-4o").file("file", b"sound").end();
    let mut request = request(name, "POST", "/v1/audio/transcriptions", body);
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::try_from(kind).unwrap());
    stage.send(request).await
}

/// A form has no prompt that could be read; what it took is what is reported of it.
#[tokio::test]
async fn a_form_is_expected_to_be_like_those_before() {
    let stage = stage(&[("first", MANY), ("second", MANY)]).await;
    stage.upstream.push(reporting(1_000, 30));
    let answer = upload(&stage, "first").await;
    stage.access_line(answer.header("x-request-id"));
    assert_eq!(taken(&upload(&stage, "second").await), 30);
    let left = number(&call(&stage, "first", asking(0)).await, "x-ratelimit-remaining-tokens");
    assert!(left < 100_000, "1030 were used, and less than that has come back");
}
