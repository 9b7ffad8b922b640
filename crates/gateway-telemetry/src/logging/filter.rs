//! What is logged: what an operator asks for, and what holds whatever is asked for.

use tracing::Level;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing_subscriber::filter::{Directive, EnvFilter, ParseError, Targets};

/// What is logged unless `RUST_LOG` says otherwise.
pub(super) const DEFAULT: &str = "info";

/// The most that is ever logged of what is not the gateway's own. At `info` and above, crates say what an operator is to know.
const GUARDED: Level = Level::INFO;

/// What speaks with callers, and warns of what they do: h2 of each of some frames of 17 bytes, in 100 bytes and more. Nobody without a
/// key is to fill a log, so of these there are only errors.
const SPEAKERS: [&str; 3] = ["h2", "hyper", "rustls"];

/// What the names of the gateway's own crates begin with, and so the targets of their lines.
const OWN: &str = "gateway_";

/// The target of the access log.
const ACCESS: &str = "access";

/// What is asked for. The access log has a switch of its own, `access`: directives that are about what else is logged, such as `warn`,
/// do not switch it off. Those that name it do, and `off`.
pub(super) fn asked_for(access: bool, directives: Option<&str>) -> Result<EnvFilter, ParseError> {
    let directives = directives.map(str::trim).filter(|text| !text.is_empty()).unwrap_or(DEFAULT);
    let mut directives = held_to(STATIC_MAX_LEVEL, directives)?;
    if !access {
        directives.push(format!("{ACCESS}=off"));
    } else if !directives.iter().any(|directive| names_access(directive) || is_off(directive)) {
        directives.push(format!("{ACCESS}=info"));
    }
    EnvFilter::builder().parse(directives.join(","))
}

/// The directives, none of them beyond a level. What the compiler has left out cannot be had, and `tracing-subscriber` would say so
/// itself: on standard error, in colours, in the midst of lines of JSON.
fn held_to(most: LevelFilter, directives: &str) -> Result<Vec<String>, ParseError> {
    let directives = directives.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    directives.map(|directive| hold_to(most, directive)).collect()
}

fn hold_to(most: LevelFilter, directive: &str) -> Result<String, ParseError> {
    // As the parser understands it, which ends with the level, whether or not there was one.
    let understood = directive.parse::<Directive>()?.to_string();
    let (selects, level) = match understood.rsplit_once('=') {
        Some((selects, level)) => (Some(selects), level),
        None => (None, &*understood),
    };
    if level.parse().is_ok_and(|level: LevelFilter| level <= most) {
        return Ok(directive.to_owned());
    }
    Ok(selects.map_or_else(|| most.to_string(), |selects| format!("{selects}={most}")))
}

fn names_access(directive: &str) -> bool {
    directive.split(['=', '[']).next() == Some(ACCESS)
}

/// Whether everything is off that no other directive names.
fn is_off(directive: &str) -> bool {
    directive.parse().is_ok_and(|level: LevelFilter| level == LevelFilter::OFF)
}

/// Whether what is set up to take events would take a line of the access log, if that were one.
pub(super) fn lets_calls_through() -> bool {
    tracing::event_enabled!(target: ACCESS, Level::INFO)
}

/// What holds whatever the directives say.
pub(super) fn guard() -> Targets {
    let speakers = SPEAKERS.map(|target| (target, LevelFilter::ERROR));
    Targets::new().with_default(GUARDED).with_target(OWN, LevelFilter::TRACE).with_targets(speakers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_checked() {
        assert!(asked_for(true, Some("info,gateway_core=debug")).is_ok());
        for wrong in ["gateway_core=louder", "info,=debug", "warn,[span"] {
            assert!(asked_for(true, Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_access_log_has_its_own_switch_unless_it_is_named_or_all_is_off() {
        for (directives, expected) in [
            (None, Some("access=info")),
            (Some("  "), Some("access=info")),
            (Some("warn"), Some("access=info")),
            (Some("error,"), Some("access=info")),
            (Some("gateway_core=debug"), Some("access=info")),
            (Some("accessory=off,gateway=off"), Some("access=info")),
            (Some("info,access=debug"), Some("access=debug")),
            (Some("info, access=warn"), Some("access=warn")),
            (Some("access=off"), Some("access=off")),
            (Some("access"), Some("access=trace")),
            (Some("off"), None),
            (Some("OFF"), None),
            (Some("off,gateway_core=debug"), None),
        ] {
            let found = |access| {
                let filter = asked_for(access, directives).unwrap().to_string();
                filter.split(',').find(|part| part.starts_with("access=")).map(str::to_owned)
            };
            assert_eq!(found(true).as_deref(), expected, "{directives:?}");
            assert_eq!(found(false).as_deref(), Some("access=off"), "{directives:?}");
        }
    }

    #[test]
    fn what_callers_do_to_libraries_fills_no_log() {
        for target in ["h2", "h2::proto::ping_pong", "hyper::proto::h1", "rustls::msgs"] {
            assert!(!guard().would_enable(target, &Level::WARN), "{target}");
            assert!(guard().would_enable(target, &Level::ERROR), "{target}");
        }
        assert!(guard().would_enable("sqlx::pool", &Level::INFO));
        assert!(guard().would_enable("gateway_listener", &Level::DEBUG));
    }

    #[test]
    fn no_directive_asks_for_more_than_was_compiled_in() {
        for (directives, expected) in [
            ("trace", "debug"),
            ("5", "debug"),
            ("TRACE", "debug"),
            ("info,gateway_core=trace", "info,gateway_core=debug"),
            // A target without a level is one with all of them.
            ("gateway_core", "gateway_core=debug"),
            ("gateway_core[call]=trace", "gateway_core[call]=debug"),
            ("[call{key=a}]=trace", "[call{key=a}]=debug"),
            ("gateway_core[call]", "gateway_core[call]=debug"),
            ("debug,hyper=off, h2=error", "debug,hyper=off,h2=error"),
            ("[{n=1.0}]=info", "[{n=1.0}]=info"),
        ] {
            let held = held_to(LevelFilter::DEBUG, directives).unwrap().join(",");
            assert_eq!(held, expected, "{directives}");
            assert!(EnvFilter::builder().parse(&held).is_ok(), "{held}");
        }
        assert_eq!(held_to(LevelFilter::TRACE, "trace,gateway_core").unwrap().join(","), "trace,gateway_core");
        assert_eq!(held_to(LevelFilter::OFF, "info").unwrap().join(","), "off");
    }
}
