//! The contract's verdict table, row by row: what the first upstream does, and what is to come of it.

use gateway_testing::Script;
use gateway_tests::stage::answer_with;
use gateway_tests::stream::role;

use super::scene::healthy;

/// What the first upstream does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum First {
    /// It plays a script for each request; what to write may depend on whether the call is streamed.
    Plays(fn(bool) -> Script),
    /// Nobody listens.
    Unreachable,
    /// Somebody listens, and accepts no more connections.
    Crowded,
    /// It plays a script until the caller has left.
    IsLeft(fn(bool) -> Script),
}

/// Which upstreams are asked, in order: with one target only, with a second target, with a fallback model. The models
/// have one retry.
pub(crate) type Asked = [&'static [u8]; 3];

/// Whatever it is may pass: elsewhere at once, at the same place after a while.
const REPEATED: Asked = [&[1, 1], &[1, 2], &[1, 1, 2]];
/// It would be no better at the same place.
const MOVED_ON: Asked = [&[1], &[1, 2], &[1, 2]];
/// It would be no better at any target of the model.
const NEXT_MODEL: Asked = [&[1], &[1], &[1, 2]];
/// It is an answer, good or bad, or nobody waits for one.
const ONCE: Asked = [&[1], &[1], &[1]];

/// What the caller gets if the last upstream that is asked is the first one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// The whole of its answer.
    Served,
    /// An error of the gateway's own: status, `code` and `retry-after`.
    Failed(u16, &'static str, &'static str),
    /// A 504 whose `code` is the outcome.
    TimedOut,
    /// The upstream's own words, under this status.
    PassedOn(u16, &'static str),
    /// Nothing: the caller is gone.
    Left,
}

/// One kind of behaviour, and its verdict.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behaviour {
    pub(crate) name: &'static str,
    pub(crate) first: First,
    pub(crate) asked: Asked,
    /// The attempt's outcome, for a plain call and for a streamed one.
    pub(crate) outcomes: [&'static str; 2],
    /// The status in the trail: that of the upstream's answer, if there was one.
    pub(crate) status: Option<u16>,
    pub(crate) ending: Ending,
    /// The first upstream's timeouts.
    pub(crate) timeouts: &'static str,
    /// What the call says to the gateway alone.
    pub(crate) member: &'static str,
}

impl Behaviour {
    fn timeouts(self, timeouts: &'static str) -> Self {
        Self { timeouts, ..self }
    }

    /// The outcomes of a plain call and of a streamed one.
    fn outcomes(self, plain: &'static str, streamed: &'static str) -> Self {
        Self { outcomes: [plain, streamed], ..self }
    }
}

/// The words of an upstream that has failed, which are nobody's business.
const PRIVATE: &str = r#"{"error":{"message":"private words"}}"#;
/// The words of an upstream that finds fault with the request.
const YOUR_FAULT: &str = r#"{"error":{"message":"your fault","type":"invalid_request_error"}}"#;
pub(crate) const TOO_LONG: &str = r#"{"error":{"message":"at most 8192 tokens","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
const UNFIT: &str = r#"{"error":{"message":"filtered","type":"invalid_request_error","code":"content_filter"}}"#;
/// The same in a success, which names the status in itself.
const WRAPPED_FAULT: &str = r#"{"error":{"message":"your fault","code":400}}"#;

const fn behaviour(
    name: &'static str,
    first: First,
    asked: Asked,
    (outcome, status): (&'static str, Option<u16>),
    ending: Ending,
) -> Behaviour {
    Behaviour { name, first, asked, outcomes: [outcome; 2], status, ending, timeouts: "{}", member: "" }
}

const BAD: Ending = Ending::Failed(502, "upstream_error", "");
const BAD_KEY: Ending = Ending::Failed(502, "upstream_credentials_rejected", "");
const BAD_ANSWER: Ending = Ending::Failed(502, "upstream_invalid_response", "");
const CUT: Ending = Ending::Failed(502, "upstream_truncated", "");
const SOON: Ending = Ending::Failed(502, "upstream_error", "1");
const LATER: Ending = Ending::Failed(502, "upstream_error", "60");

/// A wait that the rows' calls are ready for.
const SHORT: (&str, &str) = ("retry-after-ms", "20");
/// One that they are not.
const LONG: (&str, &str) = ("retry-after", "60");

fn refuse(status: u16) -> Script {
    Script::json(status, PRIVATE)
}

fn refuse_for(status: u16, wait: (&str, &str)) -> Script {
    answer_with(status, &[wait], PRIVATE)
}

fn stalls_behind_the_head(streamed: bool) -> Script {
    if streamed {
        return Script::event_stream().event(&role()).stall();
    }
    Script::new().write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{").stall()
}

/// The table.
pub(crate) fn all() -> Vec<Behaviour> {
    [connections(), delays(), statuses(), waits(), credentials(), faults(), hollow_successes(), departures()].concat()
}

fn connections() -> Vec<Behaviour> {
    use First::{Crowded, Plays, Unreachable};
    let no_connection = ("connect_timeout", None);
    vec![
        behaviour("2xx with a usable body", Plays(healthy), ONCE, ("success", Some(200)), Ending::Served),
        behaviour("connection refused", Unreachable, REPEATED, ("transport", None), BAD),
        behaviour("no connection in time", Crowded, REPEATED, no_connection, Ending::TimedOut)
            .timeouts("{ connect: 200ms }"),
        behaviour("reset before the first byte", Plays(|_| Script::new().reset()), REPEATED, ("transport", None), BAD),
    ]
}

fn delays() -> Vec<Behaviour> {
    let row = |name, script, status| {
        behaviour(name, First::Plays(script), REPEATED, ("headers_timeout", status), Ending::TimedOut)
    };
    let silent = |_| Script::new().stall();
    let stalled = row("no content in time", stalls_behind_the_head, Some(200));
    vec![
        row("no head in time", silent, None).timeouts("{ headers: 200ms }"),
        // The time to the first content counts from the beginning of the attempt, but a plain answer has no such time.
        row("no head in time for content", silent, None)
            .outcomes("headers_timeout", "first_token_timeout")
            .timeouts("{ headers: 1s, first_token: 200ms }"),
        // The parts of a plain answer may not be further apart than `idle`.
        stalled.outcomes("idle_timeout", "first_token_timeout").timeouts("{ first_token: 200ms, idle: 200ms }"),
        Behaviour {
            name: "no content in the caller's time",
            member: r#""gateway":{"first_token_timeout_ms":200},"#,
            ..stalled.outcomes("idle_timeout", "first_token_timeout").timeouts("{ idle: 200ms }")
        },
    ]
}

fn statuses() -> Vec<Behaviour> {
    let failing =
        |name, script, status| behaviour(name, First::Plays(script), REPEATED, ("server_error", Some(status)), BAD);
    // Redirects are not followed: the provider's key would go wherever they point.
    let redirect = |_| answer_with(301, &[("location", "/v1/elsewhere")], PRIVATE);
    let redirected = ("invalid_response", Some(301));
    vec![
        failing("500", |_| refuse(500), 500),
        failing("501", |_| refuse(501), 501),
        failing("502", |_| refuse(502), 502),
        failing("504", |_| refuse(504), 504),
        failing("520", |_| refuse(520), 520),
        failing("408", |_| refuse(408), 408),
        behaviour("301", First::Plays(redirect), REPEATED, redirected, BAD_ANSWER),
    ]
}

fn waits() -> Vec<Behaviour> {
    let row = |name, script, asked, came: (&'static str, u16), ending| {
        behaviour(name, First::Plays(script), asked, (came.0, Some(came.1)), ending)
    };
    vec![
        row("503", |_| refuse(503), REPEATED, ("overloaded", 503), BAD),
        row("503, retry-after-ms 20", |_| refuse_for(503, SHORT), REPEATED, ("overloaded", 503), SOON),
        row("503, retry-after 60", |_| refuse_for(503, LONG), MOVED_ON, ("overloaded", 503), LATER),
        row("529", |_| refuse(529), REPEATED, ("overloaded", 529), BAD),
        row("529, retry-after-ms 20", |_| refuse_for(529, SHORT), REPEATED, ("overloaded", 529), SOON),
        row("529, retry-after 60", |_| refuse_for(529, LONG), MOVED_ON, ("overloaded", 529), LATER),
        // Without a word it counts as a second, which is longer than these calls wait.
        row("429", |_| refuse(429), MOVED_ON, ("rate_limited", 429), BAD),
        row("429, retry-after-ms 20", |_| refuse_for(429, SHORT), REPEATED, ("rate_limited", 429), SOON),
        row("429, retry-after 60", |_| refuse_for(429, LONG), MOVED_ON, ("rate_limited", 429), LATER),
    ]
}

fn credentials() -> Vec<Behaviour> {
    let row = |name, script, came: (&'static str, u16), ending| {
        behaviour(name, First::Plays(script), MOVED_ON, (came.0, Some(came.1)), ending)
    };
    vec![
        row("401", |_| refuse(401), ("credentials_rejected", 401), BAD_KEY),
        row("402", |_| refuse(402), ("credentials_rejected", 402), BAD_KEY),
        row("403", |_| refuse(403), ("credentials_rejected", 403), BAD_KEY),
        row("404", |_| refuse(404), ("model_missing", 404), BAD),
    ]
}

fn faults() -> Vec<Behaviour> {
    let too_long = |_| Script::json(400, TOO_LONG);
    let too_long = behaviour(
        "400, context length",
        First::Plays(too_long),
        NEXT_MODEL,
        ("context_length", Some(400)),
        Ending::PassedOn(400, TOO_LONG),
    );
    let row = |name, script, status, words| {
        behaviour(name, First::Plays(script), ONCE, ("client_fault", Some(status)), Ending::PassedOn(status, words))
    };
    vec![
        too_long,
        row("400", |_| Script::json(400, YOUR_FAULT), 400, YOUR_FAULT),
        row("400, content policy", |_| Script::json(400, UNFIT), 400, UNFIT),
        row("413", |_| Script::json(413, YOUR_FAULT), 413, YOUR_FAULT),
        row("422", |_| Script::json(422, YOUR_FAULT), 422, YOUR_FAULT),
    ]
}

fn hollow_successes() -> Vec<Behaviour> {
    let row = |name, script, asked, outcome, ending| {
        behaviour(name, First::Plays(script), asked, (outcome, Some(200)), ending)
    };
    let error = |_| Script::json(200, PRIVATE);
    let overload = |_| Script::json(200, r#"{"error":{"message":"private words","code":503}}"#);
    let rejection = |_| Script::json(200, r#"{"error":{"message":"private words","code":401}}"#);
    let fault = |_| Script::json(200, WRAPPED_FAULT);
    let html = |_| Script::new().answer(200, "text/html", "<html>private words</html>");
    let first_event = |_| Script::events([&*role(), PRIVATE, "[DONE]"]);
    let too_long = |streamed| {
        let events = Script::events([&*role(), TOO_LONG, "[DONE]"]);
        if streamed { events } else { Script::json(200, TOO_LONG) }
    };
    let short = |_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n";
        Script::new().write(head).write(r#"{"id":"c-1","#).close()
    };
    vec![
        row("200, an error", error, REPEATED, "server_error", BAD),
        row("200, an error that names 503", overload, REPEATED, "overloaded", BAD),
        row("200, an error that names 401", rejection, MOVED_ON, "credentials_rejected", BAD_KEY),
        row("200, an error that names 400", fault, ONCE, "client_fault", Ending::PassedOn(400, WRAPPED_FAULT)),
        row("200, context length", too_long, NEXT_MODEL, "context_length", Ending::PassedOn(400, TOO_LONG)),
        row("200, shorter than its length", short, REPEATED, "truncated", CUT),
        row("200, not JSON", html, REPEATED, "invalid_response", BAD_ANSWER),
        row("200, the first event an error", first_event, REPEATED, "server_error", BAD),
    ]
}

fn departures() -> Vec<Behaviour> {
    let left = |name, script| behaviour(name, First::IsLeft(script), ONCE, ("cancelled", None), Ending::Left);
    vec![
        left("the caller leaves before the head", |_| Script::new().stall()),
        left("the caller leaves before the content", stalls_behind_the_head),
    ]
}
