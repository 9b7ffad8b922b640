//! Which source wins, and what a value from each of them means.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::PathBuf;
use std::time::Duration;

use gateway_config::{
    Config, ConfigErrors, Loaded, LogFormat, ProviderEndpoint, Sources, StorePlace, Vocabulary, load,
};
use tempfile::TempDir;

#[derive(Default)]
struct Layers {
    yaml: Option<&'static str>,
    dotenv: Option<&'static str>,
    environment: Vec<(&'static str, &'static str)>,
}

impl Layers {
    fn load(&self) -> Result<Loaded, ConfigErrors> {
        let directory = TempDir::new().unwrap();
        for (name, content) in [("config.yaml", self.yaml), (".env", self.dotenv)] {
            if let Some(content) = content {
                std::fs::write(directory.path().join(name), content).unwrap();
            }
        }
        let environment = self.environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources =
            Sources { path: None, environment: environment.collect(), working_directory: directory.path().to_owned() };
        load(&sources, &Vocabulary { policies: vec!["p2c", "weighted"], ..Vocabulary::default() })
    }

    fn config(&self) -> Config {
        self.load().unwrap_or_else(|errors| panic!("{errors}")).config
    }
}

/// A short name with a value for each layer, and how to see which one won.
struct Precedence {
    yaml: &'static str,
    dotenv: &'static str,
    environment: (&'static str, &'static str),
    seen: fn(&Config) -> String,
    expected: [&'static str; 4],
}

#[test]
fn each_short_name_beats_dotenv_beats_yaml_beats_the_default() {
    let cases = [
        Precedence {
            yaml: "server: { host: yaml.example }",
            dotenv: "HOST=dotenv.example",
            environment: ("HOST", "process.example"),
            seen: |config| config.server.host.clone(),
            expected: ["process.example", "dotenv.example", "yaml.example", "0.0.0.0"],
        },
        Precedence {
            yaml: "server: { port: 1 }",
            dotenv: "PORT=2",
            environment: ("PORT", "3"),
            seen: |config| config.server.port.to_string(),
            expected: ["3", "2", "1", "18000"],
        },
        Precedence {
            yaml: "provider_suffix: Yaml",
            dotenv: "PROVIDER_SUFFIX=Dotenv",
            environment: ("PROVIDER_SUFFIX", "Process"),
            seen: |config| config.provider_suffix.clone().unwrap_or_default(),
            expected: ["Process", "Dotenv", "Yaml", ""],
        },
        Precedence {
            yaml: "logging: { format: json }",
            dotenv: "LOG_FORMAT=text",
            environment: ("LOG_FORMAT", "json"),
            seen: |config| format!("{:?}", config.logging.format),
            expected: ["Json", "Text", "Json", "Auto"],
        },
    ];
    for case in cases {
        let layers = |environment| Layers { yaml: Some(case.yaml), dotenv: Some(case.dotenv), environment };
        let yaml = Layers { yaml: Some(case.yaml), ..Layers::default() };
        let from_highest = [layers(vec![case.environment]), layers(vec![]), yaml, Layers::default()];
        let seen = from_highest.map(|layers| (case.seen)(&layers.config()));
        let name = case.environment.0;
        assert_eq!(seen, case.expected, "{name}");
        let emptied = layers(vec![(name, "")]);
        assert_eq!((case.seen)(&emptied.config()), case.expected[1], "{name} set to nothing is unset");
    }
}

#[test]
fn verify_ssl_is_the_default_of_every_provider() {
    let yaml = "verify_ssl: false\nproviders: [{ name: a }, { name: b, verify_ssl: false }]";
    let verify =
        |layers: &Layers| layers.config().providers.iter().map(|provider| provider.verify_ssl).collect::<Vec<_>>();
    let environment = vec![("VERIFY_SSL", "true")];
    assert_eq!(verify(&Layers { yaml: Some(yaml), dotenv: None, environment: vec![] }), [false, false]);
    assert_eq!(verify(&Layers { yaml: Some(yaml), dotenv: Some("VERIFY_SSL=false"), environment }), [true, false]);
    assert_eq!(verify(&Layers { yaml: Some("providers: [{ name: a }]"), ..Layers::default() }), [true]);
    let dotenv = Some("VERIFY_SSL=false");
    assert_eq!(verify(&Layers { yaml: Some("providers: [{ name: a }]"), dotenv, environment: vec![] }), [false]);
}

#[test]
fn state_and_administration_have_short_names() {
    let environment = vec![
        ("DB_URL", "sqlite:x.db"),
        ("REDIS_URL", "redis://x"),
        ("ADMIN_KEY", "0123456789abcdef01234567"),
        ("KEY_PEPPER", "p"),
    ];
    let config = Layers { environment, ..Layers::default() }.config();
    assert!(matches!(&config.store.place, StorePlace::Sqlite(path) if path == "x.db"));
    assert_eq!(config.redis.map(|redis| redis.url.expose().to_owned()).as_deref(), Some("redis://x"));
    assert!(config.admin.key.is_some() && config.store.key_pepper.is_some());
    let yaml =
        Some("admin: { key: '${ADMIN_KEY:-}' }\nredis: { url: '${REDIS_URL:-}' }\nstore: { url: '${DB_URL:-}' }");
    let config = Layers { yaml, ..Layers::default() }.config();
    assert!(config.admin.key.is_none() && config.redis.is_none());
    assert!(matches!(&config.store.place, StorePlace::Default(path) if path == "gateway.db"));
}

#[test]
fn nested_names_reach_every_key() {
    let yaml = Some("providers: [{ name: a, api_key: 'from the file' }]\nmodels: { GPT: { balance: weighted } }");
    let environment = vec![
        ("GATEWAY__SERVER__MAX_BODY", "1MiB"),
        ("gateway__timeouts__connect", "1s"),
        ("GATEWAY__PROVIDERS__0__API_KEY", "00123"),
        ("GATEWAY__PROVIDERS__1", "{ name: b, model_mapping: [x, y] }"),
        ("GATEWAY__MODELS__GPT__BALANCE", "p2c"),
        ("GATEWAY_SERVICE_HOST", "10.0.0.1"),
    ];
    let config = Layers { yaml, dotenv: None, environment }.config();
    assert_eq!(config.server.max_body, 1 << 20);
    assert_eq!(config.providers[0].timeouts.connect, Duration::from_secs(1));
    assert_eq!(config.providers[0].api_keys[0].expose(), "00123");
    assert_eq!((config.providers[1].name.as_str(), config.providers[1].model_mapping.len()), ("b", 2));
    assert_eq!(config.models[0].balance, "p2c");
}

#[test]
fn the_environment_alone_is_a_configuration() {
    let loaded = Layers::default().load().unwrap();
    assert!(loaded.origin.is_none() && loaded.config.providers.is_empty());
    assert!(loaded.warnings[0].contains("callers need a key"), "{:?}", loaded.warnings);

    let environment = vec![
        ("GATEWAY__PROVIDERS__0__NAME", "sim"),
        ("GATEWAY__PROVIDERS__0__TYPE", "simulator"),
        ("GATEWAY__AUTH", "none"),
    ];
    let loaded = Layers { environment, ..Layers::default() }.load().unwrap();
    assert_eq!(loaded.config.providers[0].endpoint, ProviderEndpoint::Simulator { at: None });
    assert!(loaded.warnings.is_empty());

    let names: Vec<String> = (0..12).map(|index| format!("GATEWAY__PROVIDERS__{index}__NAME")).collect();
    let environment = names.iter().map(|name| (name.clone(), name.to_lowercase())).collect();
    let directory = TempDir::new().unwrap();
    let sources = Sources { path: None, environment, working_directory: directory.path().to_owned() };
    assert_eq!(load(&sources, &Vocabulary::default()).unwrap().config.providers.len(), 12);
}

#[test]
fn a_file_that_was_asked_for_must_exist() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("other.yaml"), "auth: none").unwrap();
    let sources = |flag: Option<&str>, variable: Option<&str>| Sources {
        path: flag.map(PathBuf::from),
        environment: variable.map(|path| ("CONFIG_PATH".to_owned(), path.to_owned())).into_iter().collect(),
        working_directory: directory.path().to_owned(),
    };
    assert!(load(&sources(None, None), &Vocabulary::default()).unwrap().origin.is_none());
    assert_eq!(
        load(&sources(None, Some("other.yaml")), &Vocabulary::default()).unwrap().origin,
        Some(PathBuf::from("other.yaml"))
    );
    assert_eq!(
        load(&sources(Some("other.yaml"), Some("x")), &Vocabulary::default()).unwrap().origin,
        Some(PathBuf::from("other.yaml"))
    );
    assert!(load(&sources(None, Some("")), &Vocabulary::default()).unwrap().origin.is_none());
    for missing in [sources(Some("missing.yaml"), None), sources(None, Some("missing.yaml"))] {
        let report = load(&missing, &Vocabulary::default()).unwrap_err().to_string();
        assert!(report.starts_with("missing.yaml: the file does not exist"), "{report}");
    }
}

#[test]
fn scalars_are_typed_after_expansion() {
    let yaml = "\
server: { port: \"${P:-81}\", host: 12 }
providers:
  - { name: 007, api_key: 0123456, headers: { x-number: 1.50, x-flag: yes, x-null: 'null' } }
  - { name: \"${NAME}\", api_key: \"a${NAME}b\" }
logging: { access: off, format: text }
";
    let environment = vec![("NAME", "x: [\n&a *b")];
    let errors = Layers { yaml: Some(yaml), dotenv: None, environment }.load().unwrap_err().to_string();
    assert!(errors.contains("providers[1].name: found `x: [\\n&a *b` from the variable NAME"), "{errors}");

    let environment = vec![("NAME", "n # no comment")];
    let config = Layers { yaml: Some(yaml), dotenv: None, environment }.config();
    assert_eq!((config.server.port, config.server.host.as_str()), (81, "12"));
    assert_eq!((config.providers[0].name.as_str(), config.providers[0].api_keys[0].expose()), ("007", "0123456"));
    let headers: Vec<_> = config.providers[0].headers.iter().map(|(_, value)| value.to_str().unwrap()).collect();
    assert_eq!(headers, ["1.50", "yes", "null"]);
    assert_eq!(config.providers[1].name, "n # no comment");
    assert_eq!((config.logging.access, config.logging.format), (false, LogFormat::Text));
}

#[test]
fn dotenv_feeds_variables_and_the_process_wins() {
    let layers = |environment| Layers {
        yaml: Some("providers: [{ name: a, api_key: '${KEY}' }]"),
        dotenv: Some("# a comment\nexport KEY='from dotenv'\n"),
        environment,
    };
    assert_eq!(layers(vec![]).config().providers[0].api_keys[0].expose(), "from dotenv");
    assert_eq!(layers(vec![("KEY", "process")]).config().providers[0].api_keys[0].expose(), "process");
}
