//! Where a configuration comes from: a file, `.env`, and the environment, all handed in.
//!
//! Loading is a function of a [`Sources`], so a reload, a test and an embedder see the same thing. Only
//! [`Sources::from_process`] looks at the process.

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::error::{ConfigError, ConfigErrors};
use crate::yaml::MAX_FILE;

/// The file that is read if none is named.
const DEFAULT_FILE: &str = "config.yaml";
/// The file of variables in the working directory.
const DOTENV: &str = ".env";

/// What to load from.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file, if the command line names one. Otherwise `CONFIG_PATH` does, and otherwise it is `config.yaml`, which
    /// then need not exist.
    pub path: Option<PathBuf>,
    /// The process's variables. They win over those of `.env`.
    pub environment: HashMap<String, String>,
    /// Where `.env` and relative paths are looked up.
    pub working_directory: PathBuf,
}

impl Sources {
    /// The sources of this process: its variables and working directory, and the file that `--config` names.
    ///
    /// What of a value is not UTF-8 is replaced, so that a setting made of it is refused rather than overlooked.
    pub fn from_process(config_flag: Option<PathBuf>) -> Self {
        let variables = std::env::vars_os();
        let text =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into())));
        Self { path: config_flag, environment: text.collect(), working_directory: PathBuf::from(".") }
    }
}

/// Shows no value: most of the environment is somebody's secret.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources")
            .field("path", &self.path)
            .field("working_directory", &self.working_directory)
            .finish_non_exhaustive()
    }
}

/// Both sets of variables, apart because they are layers of their own.
pub(crate) struct Variables<'s> {
    pub(crate) process: &'s HashMap<String, String>,
    pub(crate) dotenv: HashMap<String, String>,
}

impl<'s> Variables<'s> {
    pub(crate) fn gather(sources: &'s Sources) -> Result<Self, ConfigErrors> {
        let path = sources.working_directory.join(DOTENV);
        let dotenv = match read_text(&path)? {
            Some(text) => parse_dotenv(&path, &text)?,
            None => HashMap::new(),
        };
        Ok(Self { process: &sources.environment, dotenv })
    }

    /// The variables as `${VAR}` sees them.
    pub(crate) fn merged(&self) -> HashMap<String, String> {
        let mut merged = self.dotenv.clone();
        merged.extend(self.process.iter().map(|(name, value)| (name.clone(), value.clone())));
        merged
    }

    fn config_path(&self) -> Option<&str> {
        let layers = [self.process, &self.dotenv];
        layers
            .into_iter()
            .filter_map(|layer| layer.get("CONFIG_PATH"))
            .map(String::as_str)
            .find(|path| !path.is_empty())
    }
}

/// A configuration file.
pub(crate) struct Document {
    /// As it was named, which is how errors name it.
    pub(crate) path: PathBuf,
    /// What is in it; `None` if none was named and the default one does not exist.
    pub(crate) text: Option<String>,
}

impl Document {
    /// Reads the file.
    pub(crate) fn open(sources: &Sources, variables: &Variables<'_>) -> Result<Self, ConfigErrors> {
        let named = sources.path.clone().or_else(|| variables.config_path().map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let text = read_text(&sources.working_directory.join(&path)).map_err(|errors| errors.in_file(&path))?;
        if text.is_none() && named.is_some() {
            return Err(ConfigError::of_file(&path, "the file does not exist; check --config and CONFIG_PATH").into());
        }
        Ok(Self { path, text })
    }

    /// The files that a configuration of these sources is made from, there or not.
    pub(crate) fn files(&self, sources: &Sources) -> Vec<PathBuf> {
        [&self.path, Path::new(DOTENV)].map(|path| sources.working_directory.join(path)).into()
    }
}

/// Reads a text file of bounded size; `None` if there is none.
fn read_text(path: &Path) -> Result<Option<String>, ConfigErrors> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ConfigError::of_file(path, format!("the file cannot be opened: {error}")).into()),
    };
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too long from one that just fits.
    if let Err(error) = file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes) {
        return Err(ConfigError::of_file(path, format!("the file cannot be read: {error}")).into());
    }
    if bytes.len() > MAX_FILE {
        return Err(ConfigError::of_file(path, "the file is larger than 16 MiB").into());
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count() as u64;
        ConfigError::of_file(path, "the file is not UTF-8 text").at(line, None).into()
    })
}

/// Parses `.env`. A line that is not understood is not repeated: it may hold half a secret.
fn parse_dotenv(path: &Path, text: &str) -> Result<HashMap<String, String>, ConfigErrors> {
    let mut variables = HashMap::new();
    let mut errors = Vec::new();
    for line in dotenvy::from_read_iter(text.as_bytes()) {
        match line {
            Ok((name, value)) => {
                variables.insert(name, value);
            }
            Err(dotenvy::Error::LineParse(line, _)) => {
                let error =
                    ConfigError::of_file(path, "not an assignment such as NAME=value; quote values with blanks");
                errors.push(match text.find(line.as_str()) {
                    Some(start) => error.at(text[..start].split('\n').count() as u64, None),
                    None => error,
                });
            }
            Err(_) => errors.push(ConfigError::of_file(path, "the file cannot be read as variables")),
        }
    }
    if errors.is_empty() { Ok(variables) } else { Err(ConfigErrors::new(errors)) }
}
