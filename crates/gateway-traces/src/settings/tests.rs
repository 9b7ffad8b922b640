use proptest::prelude::*;

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, SettingsError> {
    Settings::from_env(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

/// The settings for a receiver at `http://localhost:4318` and these variables.
fn with(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")];
    read(&[variables, &endpoint].concat()).map(Option::unwrap)
}

#[test]
fn there_are_no_traces_unless_they_are_asked_for() {
    for variables in [
        &[][..],
        // Meant for somebody else.
        &[
            ("OTEL_SERVICE_NAME", "gateway"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
        ],
        &[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"), ("OTEL_BSP_SCHEDULE_DELAY", "soon"), ("OTEL_SDK_DISABLED", "no")],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"), ("OTEL_SDK_DISABLED", "TRUE")],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "no url"), ("OTEL_TRACES_EXPORTER", "None")],
    ] {
        assert!(read(variables).unwrap().is_none(), "{variables:?}");
    }
    assert!(with(&[("OTEL_SDK_DISABLED", "false"), ("OTEL_TRACES_EXPORTER", "otlp")]).is_ok());
}

#[test]
fn nothing_but_true_is_true() {
    for (value, is_odd) in [("false", false), ("False", false), ("yes", true), ("1", true), ("hidden", true)] {
        let oddity = with(&[("OTEL_SDK_DISABLED", value)]).unwrap().oddity.map(|oddity| oddity.to_string());
        let expected = is_odd.then_some("OTEL_SDK_DISABLED: counts as false; write true or false");
        assert_eq!(oddity.as_deref(), expected, "{value}");
    }
}

#[test]
fn names_may_be_written_in_any_case() {
    let settings = with(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/Protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "NONE"),
        ("OTEL_TRACES_EXPORTER", "OTLP"),
        ("OTEL_TRACES_SAMPLER", "ParentBased_TraceIdRatio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
    ]);
    assert_eq!(Some(settings.unwrap().sampler), Sampler::named("parentbased_traceidratio", 0.5));
}

#[test]
fn authorities_of_ones_own_are_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let made = rcgen::generate_simple_self_signed(["collector".to_owned()]).unwrap();
    let good = file("good.pem", &made.cert.pem());
    let of_traces = |place: &str, value: &str| {
        read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", place), ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", value)])
    };
    let settings = of_traces("https://collector", &good).unwrap().unwrap();
    assert!(settings.extra_roots.is_some());
    for (wrong, expected) in [
        (file("key.pem", &made.signing_key.serialize_pem()), "without certificates"),
        (file("empty.pem", ""), "without certificates"),
        (file("broken.pem", "-----BEGIN CERTIFICATE-----\nhidden"), "without certificates"),
        (directory.path().join("hidden").to_str().unwrap().to_owned(), "entity not found"),
    ] {
        let text = of_traces("https://collector", &wrong).unwrap_err().to_string();
        assert!(text.starts_with("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE: ") && text.contains(expected), "{text}");
        assert!(!text.contains("hidden"), "{text}");
        assert!(of_traces("http://collector", &wrong).is_ok(), "there is no TLS");
    }
}

#[test]
fn the_gateway_shows_no_certificate() {
    for name in [
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    ] {
        let text = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a"), (name, "/hidden")]).unwrap_err().to_string();
        assert!(text.starts_with(&format!("{name}: ")) && text.contains("no certificate"), "{text}");
        assert!(!text.contains("hidden"), "{text}");
        assert!(with(&[(name, "/hidden")]).is_ok(), "there is no TLS");
    }
}

#[test]
fn where_spans_go() {
    const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const WHOLE: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    for (variables, origin, target) in [
        (&[(BASE, "http://localhost:4318")][..], "http://localhost:4318", "/v1/traces"),
        (&[(BASE, "http://localhost:4318/")], "http://localhost:4318", "/v1/traces"),
        (&[(BASE, "https://otlp.example.com/otlp/")], "https://otlp.example.com", "/otlp/v1/traces"),
        (&[(WHOLE, "https://example.com:443/take?tenant=a")], "https://example.com", "/take?tenant=a"),
        (&[(WHOLE, "http://[::1]:4318")], "http://[::1]:4318", "/"),
        (&[(BASE, "http://a"), (WHOLE, "http://b/c")], "http://b", "/c"),
    ] {
        let settings = read(variables).unwrap().unwrap();
        assert_eq!((settings.origin.to_string().as_str(), settings.target.as_str()), (origin, target), "{variables:?}");
    }
}

#[test]
fn defaults_and_what_replaces_them() {
    let settings = with(&[]).unwrap();
    assert_eq!((settings.timeout, settings.patience), (Duration::from_secs(10), Duration::from_secs(30)));
    assert_eq!(settings.batching, Batching { queue: 2_048, size: 512, delay: Duration::from_secs(5) });
    assert_eq!(settings.sampler, Sampler::default());
    assert_eq!(settings.resource["service.name"], "llm-gateway");
    let settings = with(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "45000"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=a%2Cb, service.version = 9 "),
        ("OTEL_SERVICE_NAME", "edge"),
    ])
    .unwrap();
    assert_eq!((settings.timeout, settings.patience), (Duration::from_millis(2_500), Duration::from_secs(45)));
    assert_eq!(settings.batching, Batching { queue: 8, size: 3, delay: Duration::from_millis(20) });
    assert_eq!(Some(settings.sampler), Sampler::named("traceidratio", 0.25));
    let resource: Vec<_> = settings.resource.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("deployment.environment.name", "a,b"), ("service.name", "edge"), ("service.version", "9")];
    assert_eq!(resource, expected);
}

#[test]
fn errors_name_the_variable_and_say_what_to_write() {
    for (name, value, expected) in [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "localhost:4318", "http://localhost:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://localhost:4317", "http:// or https://"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://hidden:hidden@localhost", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "hidden hidden", "http://localhost:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "has to be http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "has to be http/protobuf"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "has to be otlp"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "has to be none"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "hidden", "has to be none"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "-1", "a whole number from 1 to 600000"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "a whole number from 1 to 600000"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "a whole number from 1 to 600000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "99999999", "a whole number from 1 to 1000000"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1", "a whole number from 1 to 4096"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "a whole number"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "parentbased_always_on"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,hidden", "the entry 2 is not name=value"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff", "the entry 1 is not name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,=hidden", "the entry 2 is not name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hidden", "the entry 1 is not a header"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=hidden%0D%0Ab: c", "the entry 1 is not a header"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x=1,Content-Length=5", "the entry 2 sets a header"),
    ] {
        let error = with(&[(name, value)]).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("{name}: ")) && text.contains(expected), "{text}");
        assert!(!text.contains("hidden") && !format!("{error:?}").contains("hidden"), "{error:?}");
    }
    for ratio in ["1.5", "-0.1", "NaN", "half"] {
        let variables = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", ratio)];
        let text = with(&variables).unwrap_err().to_string();
        assert!(text.starts_with("OTEL_TRACES_SAMPLER_ARG: has to be a number from 0 to 1"), "{text}");
    }
    let unused = [("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_TRACES_SAMPLER_ARG", "endpoint=http://a")];
    assert!(with(&unused).is_ok(), "what a sampler does not take is not looked at");
}

#[test]
fn headers_are_sent_and_never_shown() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "unused=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "Authorization=Bearer%20canary%3D%3D, x-tenant=canary-2,"),
    ];
    let settings = with(&variables).unwrap();
    let mut headers = http::HeaderMap::new();
    settings.headers.write(&mut headers);
    assert_eq!(headers.len(), 2);
    assert_eq!(
        (&headers["authorization"], &headers["x-tenant"]),
        (&"Bearer canary==".parse().unwrap(), &"canary-2".parse().unwrap())
    );
    for shown in [format!("{settings:?}"), format!("{settings:#?}"), format!("{headers:?}")] {
        assert!(shown.contains("authorization") && !shown.contains("canary"), "{shown}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_it(value in "\\PC{0,40}", which in 0_usize..13) {
        let names = [
            "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_SERVICE_NAME",
            "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_BSP_MAX_QUEUE_SIZE",
            "OTEL_BSP_SCHEDULE_DELAY",
        ];
        let _ = read(&[(names[which], &value), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost")]);
    }

    #[test]
    fn any_header_value_arrives_as_it_was(value in "[ -~]{0,40}") {
        let encoded = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC).to_string();
        let headers = SecretHeaders::parse(&format!("x-key={encoded}")).unwrap();
        let mut written = http::HeaderMap::new();
        headers.write(&mut written);
        prop_assert_eq!(written["x-key"].as_bytes(), value.as_bytes());
    }
}
