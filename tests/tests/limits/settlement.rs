//! What a call is charged when it is over: what the upstream reports, else what was seen of its answer, and nothing if there
//! was none.

use gateway_testing::Script;
use gateway_tests::stage::{CHAT, ONE_ATTEMPT, PLAIN, Stage};
use gateway_tests::stream::{Events, finish, role, text};
use gateway_tests::wire::Wire;

use super::scene::{TOKENS, key, listed, number, ok, reporting, request, settled, spends, stage, stage_of, usage};

/// A call that takes 500 tokens as long as it is under way: 13 for the prompt, and the rest for the answer.
const EXPECTED: &str = r#"{"model":"gpt-4o","max_tokens":487,"messages":[{"role":"user","content":"The quick brown fox jumps over the lazy dog."}]}"#;

/// A hundred tokens of text, by the rule of thumb that goes by bytes.
fn hundred() -> String {
    text(&"word ".repeat(80))
}

/// The event that reports what a stream took, as OpenAI sends it.
fn report(prompt: u64, completion: u64) -> String {
    format!(r#"{{"id":"c-1","choices":[],{}}}"#, usage(prompt, completion))
}

/// The last event with a choice, with the usage beside it, as some vendors send it.
fn finish_with(prompt: u64, completion: u64) -> String {
    format!(
        r#"{{"id":"c-1","choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],{}}}"#,
        usage(prompt, completion)
    )
}

fn streamed(call: &str) -> String {
    call.replacen('{', r#"{"stream":true,"#, 1)
}

fn asked(call: &str) -> String {
    call.replacen('{', r#"{"stream":true,"stream_options":{"include_usage":true},"#, 1)
}

/// What is taken at the beginning is told with the answer: all of the rows take the same.
async fn assert_charged(stage: &Stage, name: &str, (path, body): (&str, String), expected: u64) {
    let call = async {
        let answer = stage.send(request(name, "POST", path, body)).await;
        stage.access_line(answer.header("x-request-id"));
        answer
    };
    let answer = spends(stage, name, expected, call).await;
    assert_eq!(number(&answer, "x-ratelimit-remaining-tokens"), 100, "{name}: 500 of 600 are taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_charged_as_reported() {
    let respond = r#"{"model":"gpt-4o","max_output_tokens":500,"stream":true}"#.to_owned();
    let completed = format!(
        r#"{{"type":"response.completed","response":{{"model":"gpt-4o-2024",{}}}}}"#,
        r#""usage":{"input_tokens":100,"output_tokens":150,"total_tokens":250}"#
    );
    let delta = r#"{"type":"response.output_text.delta","delta":"word"}"#;
    let plain = || (CHAT, EXPECTED.to_owned());
    let unasked = || (CHAT, streamed(EXPECTED));
    let rows = [
        ("less", plain(), reporting(100, 150), 250),
        ("streamed", unasked(), Script::events([&*role(), &text("a"), &finish(), &report(100, 200), "[DONE]"]), 300),
        ("asked", (CHAT, asked(EXPECTED)), Script::events([&*text("a"), &finish(), &report(50, 150), "[DONE]"]), 200),
        ("beside", unasked(), Script::events([&*text("a"), &finish_with(100, 100), "[DONE]"]), 200),
        ("no-done", unasked(), Script::events([&*text("a"), &finish(), &report(100, 200)]), 300),
        // Vendors that report with every event count up.
        ("counting", unasked(), Script::events([&*finish_with(100, 10), &finish_with(100, 120), "[DONE]"]), 220),
        ("responses", ("/v1/responses", respond), Script::events([delta, &completed]), 250),
        // Reported before it broke.
        ("broken", unasked(), Script::events([&*text("a"), &report(100, 200)]).close(), 300),
    ];
    let keys: Vec<_> = rows.iter().map(|(name, ..)| (*name, TOKENS)).collect();
    let stage = stage(&keys).await;
    for (name, call, script, expected) in rows {
        stage.upstream.push(script);
        assert_charged(&stage, name, call, expected).await;
    }
}

/// An answer in numbers is all prompt.
#[tokio::test(flavor = "multi_thread")]
async fn embeddings_are_charged_as_reported() {
    let stage = stage(&[("team-a", TOKENS)]).await;
    stage.upstream.push(Script::json(200, r#"{"data":[],"usage":{"prompt_tokens":250,"total_tokens":250}}"#));
    let embed = async {
        let body = r#"{"model":"gpt-4o","input":"The quick brown fox jumps over the lazy dog."}"#;
        let answer = stage.send(request("team-a", "POST", "/v1/embeddings", body)).await;
        stage.access_line(answer.header("x-request-id"));
    };
    spends(&stage, "team-a", 250, embed).await;
}

/// A plain answer is taken for text, as far as that was expected: much of what it holds may be something else.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_report_is_charged_for_its_length() {
    let padded = |length: usize, rest: &str| format!(r#"{{"text":"{}"{rest}}}"#, "a".repeat(length - 11 - rest.len()));
    let rows = [
        ("short", padded(800, ""), 213),
        ("long", padded(100_000, ""), 500),
        ("nothing", padded(400, r#","usage":null"#), 113),
    ];
    let keys: Vec<_> = rows.iter().map(|(name, ..)| (*name, TOKENS)).collect();
    let stage = stage(&keys).await;
    for (name, answer, expected) in rows {
        stage.upstream.push(Script::json(200, answer));
        assert_charged(&stage, name, (CHAT, EXPECTED.to_owned()), expected).await;
    }
}

/// 13 tokens of prompt, and a token for every four bytes of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_report_is_charged_for_what_was_seen() {
    let cut = Script::event_stream().event(&hundred()).event(&hundred());
    let call = r#"{"index":0,"function":{"arguments":"ARGUMENTS"}}"#.replace("ARGUMENTS", &"a".repeat(400));
    let tool = format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{call}]}}}}]}}"#);
    let rows = [
        ("whole", Script::events([&*role(), &hundred(), &hundred(), &finish(), "[DONE]"]), 213),
        ("tools", Script::events([&*tool, &finish(), "[DONE]"]), 113),
        ("closed", cut.clone().end_chunks(), 213),
        ("reset", cut.clone().reset(), 213),
        ("failed", cut.clone().event(r#"{"error":{"message":"An outage.","code":500}}"#).end_chunks(), 213),
        ("silent", cut.stall(), 213),
    ];
    let keys: Vec<_> = rows.iter().map(|(name, ..)| (*name, TOKENS)).collect();
    let idle = "timeouts: { idle: 300ms }\n";
    let stage = stage_of(&[PLAIN, &listed(&keys), ONE_ATTEMPT, idle].concat()).await;
    for (name, script, expected) in rows {
        stage.upstream.push(script);
        assert_charged(&stage, name, (CHAT, streamed(EXPECTED)), expected).await;
    }
}

/// What the caller did not get it does not pay for.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_call_gives_everything_back() {
    let too_long = r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#;
    let rows = [
        ("error", EXPECTED, Script::json(500, format!("{{{}}}", usage(10, 10))), 502),
        ("busy", EXPECTED, Script::json(429, "{}"), 502),
        ("broken", EXPECTED, Script::new().write("HTTP/1.1 200").reset(), 502),
        ("invalid", EXPECTED, Script::json(200, "not JSON"), 502),
        ("silent", EXPECTED, Script::new().stall(), 504),
        ("fault", EXPECTED, Script::json(400, r#"{"error":{"message":"No."}}"#), 400),
        ("too-long", EXPECTED, Script::json(400, too_long), 400),
        ("content", EXPECTED, Script::json(422, "{}"), 422),
        ("cut", EXPECTED, Script::new().write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").close(), 502),
        ("empty", "stream", Script::event_stream().end_chunks(), 502),
    ];
    let keys: Vec<_> = rows.iter().map(|(name, ..)| (*name, TOKENS)).collect();
    let headers = "timeouts: { headers: 300ms }\n";
    let stage = stage_of(&[PLAIN, &listed(&keys), ONE_ATTEMPT, headers].concat()).await;
    for (name, body, script, status) in rows {
        stage.upstream.push(script);
        let body = if body == "stream" { streamed(EXPECTED) } else { body.to_owned() };
        let answer = spends(&stage, name, 0, settled(&stage, name, body)).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(number(&answer, "x-ratelimit-remaining-tokens"), 100, "{name}");
    }
}

/// Only the answer that the caller gets is paid for, and the reservation is one however many attempts there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_retried_call_is_charged_once() {
    let retry = "retry: { max_retries: 2, base_delay: 1ms, max_delay: 1ms }\n";
    let stage = stage_of(&[PLAIN, &listed(&[("team-a", TOKENS)]), retry].concat()).await;
    stage.upstream.push(Script::json(500, "{}"));
    stage.upstream.push(Script::event_stream().event(&role()).reset());
    stage.upstream.push(Script::events([&*text("a"), &finish(), &report(100, 200), "[DONE]"]));
    assert_charged(&stage, "team-a", (CHAT, streamed(EXPECTED)), 300).await;
    assert_eq!(stage.upstream.requests().len(), 4, "three attempts, and a look at what is left");
}

/// A caller who leaves pays for what it was sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_pays_for_what_it_saw() {
    let stage = stage(&[("stream", TOKENS), ("report", TOKENS), ("wire", TOKENS)]).await;
    let rows = [
        ("stream", Script::event_stream().event(&role()).event(&hundred()).event(&hundred()).stall(), 2, 213),
        ("report", Script::event_stream().event(&hundred()).event(&finish_with(100, 200)).stall(), 2, 300),
    ];
    for (name, script, seen, expected) in rows {
        stage.upstream.push(script);
        let leave = async {
            let request = request(name, "POST", CHAT, streamed(EXPECTED));
            let mut events = Events::of(stage.gateway.address(), request).await;
            for _ in 0..seen + usize::from(name == "stream") {
                events.next().await.unwrap();
            }
            let id = events.headers["x-request-id"].to_str().unwrap().to_owned();
            drop(events);
            assert_eq!(stage.access_line(&id)["status"], 499);
        };
        spends(&stage, name, expected, leave).await;
    }
    // Nothing was there to be seen.
    let number = stage.upstream.requests().len();
    stage.upstream.push(Script::new().stall());
    let leave = async {
        let mut wire = Wire::open(stage.gateway.address()).await;
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: gw\r\nauthorization: Bearer {}\r\nx-request-id: leaver",
            key("wire")
        );
        let length = EXPECTED.len();
        wire.write(format!("{head}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{EXPECTED}"))
            .await;
        stage.upstream.request(number).await;
        drop(wire);
        assert_eq!(stage.access_line("leaver")["status"], 499);
    };
    spends(&stage, "wire", 0, leave).await;
}

/// Whatever was used is owed, also beyond what there was; the next call waits until it is paid.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_beyond_the_expectation_is_owed() {
    let stage = stage(&[("team-a", TOKENS)]).await;
    stage.upstream.push(reporting(100, 1_700));
    assert_eq!(settled(&stage, "team-a", r#"{"model":"gpt-4o","max_tokens":10}"#).await.status, 200);
    stage.upstream.push(ok());
    let refused = settled(&stage, "team-a", r#"{"model":"gpt-4o","max_tokens":1}"#).await;
    assert_eq!((refused.status.as_u16(), &*refused.error_code()), (429, "rate_limit_exceeded"));
    let wait = number(&refused, "retry-after");
    assert!((100..=121).contains(&wait), "1200 of 600 tokens a minute take two minutes: {wait} s");
}
