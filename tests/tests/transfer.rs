//! A file into the store and back: `gateway-server import`, `export` and `check`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gateway_testing::Run;
use gateway_tests::database::Database;
use gateway_tests::site::{Site, good};
use gateway_tests::stage::{CALLER_KEY, PROVIDER_KEY};

/// A gateway that knows nothing but what is in its store.
const BARE: &str = "server: { host: 127.0.0.1 }\n";

/// What is imported: everything that a store can keep, and some things that it has to keep literally.
const FILE: &str = r#"
providers:
  - name: main
    api_base: ${UPSTREAM}
    api_key: ${PROVIDER_KEY}
    weight: 2
    headers: { x-team: "$${literal}" }
    model_mapping: { "zeta-*": "*", gpt-4o: gpt-4o-2024, alpha: { mapped_model: a, input_cost_per_1k_tokens: 0.5 } }
    timeouts: { connect: 2s }
    health_check: false
  - { name: spare, api_base: "${UPSTREAM}", enabled: no, model_mapping: [ spare ], health_check: { interval: 90s, model: spare } }
models:
  gpt-4o: { max_retries: 0, fallback_models: [ alpha ] }
master_keys:
  - { name: Production Key, key: "${CALLER_KEY}", rate_limit: { requests_per_second: 50 }, budget: { usd: 5, period: day } }
"#;

async fn site(database: &Database) -> Site {
    let site = Site::of(BARE).await.with("DB_URL", &database.url()).with("PROVIDER_KEY", PROVIDER_KEY);
    site.folder.write("file.yaml", FILE);
    site
}

fn run(site: &Site, arguments: &[&str]) -> String {
    let Run { code, stdout, stderr } = site.run(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stdout}{stderr}");
    stdout
}

#[tokio::test]
async fn what_is_imported_is_served_and_importing_it_again_changes_nothing() {
    for database in Database::each() {
        let site = site(&database).await;
        let node = site.start();
        assert!(run(&site, &["import", "file.yaml", "--dry-run"]).ends_with("4 changes would be made\n"));
        assert_eq!(node.verdict(CALLER_KEY).await.0, 401, "{}: a dry run changes nothing", database.name());
        let done = run(&site, &["import", "file.yaml"]);
        let expected = "create provider main\ncreate provider spare\ncreate model gpt-4o\ncreate key Production Key\n4 changes made\n";
        assert_eq!(done, expected, "{}", database.name());
        let served = async || (node.verdict(CALLER_KEY).await == good()).then_some(());
        gateway_tests::patience::until("the imported provider and key", served).await;
        let sent = site.upstream.requests().pop().unwrap();
        assert_eq!(sent.header("authorization"), Some(&*format!("Bearer {PROVIDER_KEY}")));
        assert_eq!(sent.header("x-team"), Some("${literal}"));
        assert!(run(&site, &["import", "file.yaml"]).ends_with("nothing to change\n"));
        site.folder.write("file.yaml", FILE.replace("weight: 2", "weight: 3"));
        assert!(run(&site, &["import", "file.yaml"]).starts_with("update provider main\nunchanged provider spare\n"));
        let actions = node.admin().audit().await.iter().map(|it| it["action"].to_string()).collect::<Vec<_>>();
        assert_eq!(actions[0], r#""provider.update""#);
        assert_eq!(actions.len(), 5, "{actions:?}");
    }
}

#[tokio::test]
async fn an_export_imports_into_another_store_as_the_same() {
    let (one, other) = (Database::sqlite(), Database::sqlite());
    let (site, other) = (site(&one).await, site(&other).await);
    run(&site, &["import", "file.yaml"]);
    let exported = run(&site, &["export", "--with-secrets"]);
    assert!(!exported.contains(CALLER_KEY));
    other.folder.write("exported.yaml", &exported);
    assert!(run(&other, &["import", "exported.yaml"]).ends_with("4 changes made\n"));
    assert_eq!(run(&other, &["export", "--with-secrets"]), exported);
    // The order of patterns counts, so it has to survive.
    assert!(exported.find("zeta-*") < exported.find("gpt-4o: gpt-4o-2024"), "{exported}");
    let checks = exported.matches("health_check:").count();
    assert!(checks == 2 && exported.contains("interval: 90s"), "{exported}");

    // Unless they are asked for, secrets are left to the environment.
    let public = run(&site, &["export"]);
    assert!(!public.contains(PROVIDER_KEY) && public.contains("${PROVIDER_MAIN_API_KEY}"), "{public}");
    other.folder.write("public.yaml", &public);
    let refused = other.run(&["import", "public.yaml"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("PROVIDER_MAIN_API_KEY"), "{}", refused.stderr);
    let other = other.with("PROVIDER_MAIN_API_KEY", PROVIDER_KEY).with("PROVIDER_MAIN_HEADERS_X_TEAM", "${literal}");
    assert!(run(&other, &["import", "public.yaml"]).ends_with("nothing to change\n"));
}

#[tokio::test]
async fn a_bad_file_is_imported_in_no_part() {
    let database = Database::sqlite();
    let site = site(&database).await;
    site.folder.write("file.yaml", FILE.replace("weight: 2", "weight: 0").replace("max_retries: 0", "max_retrys: 0"));
    let refused = site.run(&["import", "file.yaml"]);
    assert_eq!(refused.code, Some(1));
    for words in ["file.yaml:6", "providers[0].weight", "max_retries", "2 errors"] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    assert_eq!(run(&site, &["export"]), "providers: []\nmodels: {}\nmaster_keys: []\n");
}

#[tokio::test]
async fn a_check_knows_what_the_store_has() {
    let database = Database::sqlite();
    let site = site(&database).await;
    run(&site, &["import", "file.yaml"]);
    site.folder.write("config.yaml", "models: { chat: { targets: [ { provider: main, model: a } ] } }\n");
    assert!(run(&site, &["check", "--config", "config.yaml"]).contains("providers: 1 (main)"));
    site.folder.write("config.yaml", "models: { chat: { targets: [ { provider: mian, model: a } ] } }\n");
    let refused = site.run(&["check", "--config", "config.yaml"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("did you mean `main`?"), "{}", refused.stderr);
    database.execute("INSERT INTO providers (name, settings) VALUES ('odd', '{\"wieght\": 1}')").await;
    site.folder.write("config.yaml", BARE);
    let summary = run(&site, &["check", "--config", "config.yaml"]);
    assert!(summary.contains("warning: provider `odd` of the store is left out"), "{summary}");
}
