#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_name_says_everything() {
    let name = "any-name?latency=200ms&frame=500us&frames=64&words=50&fail=0.25&status=503&code=slow_down&retry_after=2s&as=gpt-4o";
    let behaviour = Behaviour::of_model(name).unwrap();
    assert_eq!(
        behaviour,
        Behaviour {
            latency: Duration::from_millis(200),
            frame: Duration::from_micros(500),
            frames: Some(64),
            words: Some(50),
            fail: Some(0.25),
            status: Some(503),
            code: Some("slow_down".to_owned()),
            retry_after: Some(Duration::from_secs(2)),
            fault: None,
            shown_as: Some("gpt-4o".to_owned()),
        }
    );
}

#[test]
fn words_of_a_name_are_presets_that_settings_change() {
    assert_eq!(Behaviour::of_model("sim").unwrap(), Behaviour::default());
    assert_eq!(Behaviour::of_model("gpt-slow").unwrap(), Behaviour::default(), "only names that begin with `sim-`");
    let slow = Behaviour::of_model("sim-slow?frames=3").unwrap();
    assert_eq!((slow.latency, slow.frames), (Duration::from_millis(200), Some(3)));
    assert_eq!(Behaviour::of_model("sim-limited").unwrap().failure(0.99), Some(429));
}

#[test]
fn every_point_can_be_cut_and_stalled() {
    for (name, point) in [
        ("before_head", Point::BeforeHead),
        ("after_head", Point::AfterHead),
        ("after_role", Point::AfterRole),
        ("after_content", Point::AfterContent),
        ("mid_char", Point::MidChar),
        ("before_done", Point::BeforeDone),
    ] {
        let parse = |setting: &str| format!("{setting}={name}").parse::<Behaviour>().unwrap().fault;
        assert_eq!(parse("cut"), Some(Fault { point, kind: FaultKind::Cut }));
        assert_eq!(parse("stall"), Some(Fault { point, kind: FaultKind::Stall }));
    }
}

#[test]
fn failures_follow_the_share() {
    let parse = |settings: &str| settings.parse::<Behaviour>().unwrap();
    assert_eq!(parse("").failure(0.0), None);
    assert_eq!(parse("fail=0").failure(0.0), None);
    assert_eq!(parse("fail=1").failure(0.999), Some(500));
    assert_eq!(parse("status=503").failure(0.999), Some(503));
    assert_eq!(parse("fail=0.1&status=429").failure(0.09), Some(429));
    assert_eq!(parse("fail=0.1&status=429").failure(0.1), None);
}

#[test]
fn what_cannot_be_read_is_named() {
    for (settings, message) in [
        ("latncy=1s", "unknown setting `latncy`"),
        ("latency=20", "`latency=20` does not fit; expected a duration"),
        ("latency", "`latency=` does not fit"),
        ("frames=0", "expected a number from 1 to 65536"),
        ("frames=65537", "expected a number from 1 to 65536"),
        ("fail=1.5", "from 0 to 1"),
        ("fail=NaN", "from 0 to 1"),
        ("status=200", "from 400 to 599"),
        ("code=", "the code of an error"),
        ("cut=never", "before_head, after_head"),
        ("as=", "a model name"),
    ] {
        let error = settings.parse::<Behaviour>().unwrap_err().to_string();
        assert!(error.contains(message), "{settings}: {error}");
    }
}
