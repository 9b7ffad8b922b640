//! The URL of a database, and what of it must not be seen.

use std::str::FromStr;

use gateway_secret::Secret;
use gateway_store::OpenError;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// The parameters that sqlx knows. It writes the others into the log, values and all, and one of them may be a password.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
    "application_name",
];

/// What the URL says, without the parameters that mean nothing here.
pub(crate) fn options(url: &Secret) -> Result<PgConnectOptions, OpenError> {
    let (address, parameters) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
    let refuse = |problem: String| OpenError { problem };
    if !["postgres://", "postgresql://"].iter().any(|scheme| address.starts_with(scheme)) {
        return Err(refuse("the store's URL has to begin with postgres://".to_owned()));
    }
    let name = |parameter: &str| parameter.split('=').next().unwrap_or_default().to_owned();
    let (known, unknown): (Vec<_>, Vec<_>) =
        parameters.split('&').filter(|parameter| !parameter.is_empty()).partition(|parameter| {
            let name = name(parameter);
            PARAMETERS.contains(&name.as_str()) || name.starts_with("options[")
        });
    for parameter in unknown {
        tracing::warn!(parameter = name(parameter), "a parameter of the store's URL is not known and has no effect");
    }
    let url = Secret::from(format!("{address}?{}", known.join("&")));
    let options = PgConnectOptions::from_str(url.expose());
    let options = options.map_err(|error| refuse(format!("the store's URL cannot be read: {error}")))?;
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("gateway-server"),
    };
    Ok(options.disable_statement_logging())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_in_what_is_said_of_a_bad_url() {
        for url in [
            "mysql://user:geheim@host/db",
            "postgres://user:geheim@host:port/db",
            "postgres://user:geheim@/db?sslmode=nonsense",
            "postgres://user:geheim@host/db?port=geheim",
            "postgres://user:geheim@[host/db",
        ] {
            let error = options(&Secret::from(url)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("geheim"), "{error}");
        }
    }

    #[test]
    fn what_the_url_says_is_heeded_and_the_rest_is_left_out() {
        let url = "postgres://user:pass%40word@host:5433/db?sslmode=require&channel_binding=require&connect_timeout=10";
        let options = options(&Secret::from(url)).unwrap();
        assert_eq!((options.get_host(), options.get_port(), options.get_username()), ("host", 5433, "user"));
        assert_eq!(options.get_database(), Some("db"));
        assert!(matches!(options.get_ssl_mode(), sqlx::postgres::PgSslMode::Require));
        assert_eq!(options.get_application_name(), Some("gateway-server"));
    }
}
