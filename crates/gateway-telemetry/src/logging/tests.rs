use super::*;
use crate::captured::Lines;

/// What a process with these directives logs when crates of all kinds print a header at every level.
fn logged(directives: &str, is_json: bool) -> String {
    let lines = Lines::default();
    let (filter, writer) = (filter::asked_for(true, Some(directives)).unwrap(), lines.clone());
    if is_json {
        tracing::subscriber::with_default(json(filter, writer), print_everywhere);
    } else {
        tracing::subscriber::with_default(text(filter, writer, false), print_everywhere);
    }
    lines.text()
}

fn print_everywhere() {
    macro_rules! print_as {
        ($($target:literal)*) => {
            $(
                // Fields of spans are printed with every line inside.
                let span = tracing::trace_span!(target: $target, "Connection", key = "sk-span-canary");
                let _inside = span.enter();
                tracing::trace!(target: $target, authorization = "Bearer sk-canary", "trace {}", $target);
                tracing::debug!(target: $target, authorization = "Bearer sk-canary", "debug {}", $target);
                tracing::info!(target: $target, "info {}", $target);
                tracing::warn!(target: $target, "warn {}", $target);
            )*
        };
    }
    // With names that begin like the gateway's own, or hold one.
    print_as!("h2" "h2::codec::framed_write" "hyper::proto::h1::io" "hyper_util::client" "rustls::client" "sqlx::query"
        "sqlx_postgres::connection" "redis::client" "tokio_util" "a_crate_of_tomorrow" "gateway" "gatewayless" "my_gateway_core");
    tracing::trace!(target: "gateway_core::attempt", "own");
    tracing::debug!(target: "gateway_server", "own");
    tracing::info!(target: "access", "own");
}

#[test]
fn no_directive_has_a_crate_below_print_what_it_sees() {
    for directives in [
        "trace",
        "h2=trace",
        "debug,h2::codec::framed_write=trace,hyper::proto=trace",
        "gateway=trace,gatewayless=trace,my_gateway_core=trace,a_crate_of_tomorrow=trace",
        "rustls=trace,sqlx=trace,sqlx_postgres=debug,redis=trace",
        "[Connection]=trace",
        "[{key}]=trace",
        "trace,access=off,gateway_core=off",
    ] {
        for is_json in [true, false] {
            let text = logged(directives, is_json);
            for canary in ["sk-canary", "sk-span-canary", "trace ", "debug "] {
                assert!(!text.contains(canary), "{directives} (JSON: {is_json}) prints {canary}: {text}");
            }
        }
    }
}

#[test]
fn the_gateways_own_lines_are_at_whatever_level_is_asked_for() {
    let text = logged("trace", false);
    assert_eq!(text.matches("own").count(), 3, "{text}");
    for line in ["info sqlx::query", "warn sqlx::query", "info a_crate_of_tomorrow"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // That of the access log among them, which is not asked for.
    assert_eq!(logged("warn,gateway_core=trace", false).matches("own").count(), 2);
    for directives in ["warn", "error", "gateway_core=debug"] {
        assert!(logged(directives, true).contains(r#""target":"access""#), "{directives}");
    }
    assert_eq!(logged("off", true), "");
    for directives in [filter::DEFAULT, "info", "h2=trace,info"] {
        let text = logged(directives, true);
        assert!(!text.contains("warn h2") && text.contains("info sqlx::query"), "{directives}: {text}");
    }
}

#[test]
fn lines_of_calls_are_written_where_an_event_would_be() {
    for (access, directives, expected) in [
        (true, None, true),
        (true, Some("warn"), true),
        (true, Some("gateway_core=debug"), true),
        (true, Some("access=debug"), true),
        (true, Some("access=warn"), false),
        (true, Some("access=off"), false),
        (true, Some("off"), false),
        (false, None, false),
        (false, Some("access=trace"), false),
    ] {
        let filter = || filter::asked_for(access, directives).unwrap();
        let (as_json, as_text) = (json(filter(), Lines::default()), text(filter(), Lines::default(), false));
        let is_let_through = tracing::subscriber::with_default(as_json, filter::lets_calls_through);
        assert_eq!(is_let_through, expected, "{access} {directives:?}");
        let is_let_through = tracing::subscriber::with_default(as_text, filter::lets_calls_through);
        assert_eq!(is_let_through, expected, "{access} {directives:?}, as text");
    }
}

#[test]
fn a_terminal_gets_text_unless_json_is_asked_for() {
    let formats = [LineFormat::Auto, LineFormat::Json, LineFormat::Text];
    let text = |has_colours| Form::Text { has_colours };
    assert_eq!(formats.map(|format| format.on(true)), [text(true), Form::Json, text(true)]);
    assert_eq!(formats.map(|format| format.on(false)), [Form::Json, Form::Json, text(false)]);
}
