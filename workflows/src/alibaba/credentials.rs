//! Where the daemon's own AccessKey comes from: the environment, or the shared INI file. Knows no endpoint and makes
//! no call. The secret parts print as `[REDACTED]` and are wiped when dropped.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

/// Largest credentials file that is read, in bytes: anything bigger is not one.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// An AccessKey pair, with a token when it is a temporary one.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The AccessKey id; not secret.
    pub key_id: String,
    /// The AccessKey secret.
    pub secret: SecretString,
    /// The STS token of temporary credentials.
    pub token: Option<SecretString>,
}

impl Credentials {
    /// Credentials from their parts.
    pub fn new(
        key_id: impl Into<String>,
        secret: impl Into<String>,
        token: Option<String>,
    ) -> Self {
        Self { key_id: key_id.into(), secret: secret.into().into(), token: token.map(Into::into) }
    }

    /// `text` without the secret and the token, should a server have sent them back.
    pub(crate) fn redact(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in std::iter::once(&self.secret).chain(&self.token) {
            let secret = secret.expose_secret();
            if !secret.is_empty() {
                clean = clean.replace(secret, "[REDACTED]");
            }
        }
        clean
    }
}

/// Which provider a connection uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The environment if it names a key, else the shared file.
    #[default]
    Default,
    /// `ALIBABA_CLOUD_ACCESS_KEY_ID`, `ALIBABA_CLOUD_ACCESS_KEY_SECRET`, `ALIBABA_CLOUD_SECURITY_TOKEN`.
    Environment,
    /// One profile of an INI file.
    SharedFile,
}

impl std::str::FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "" | "default" => Ok(Self::Default),
            "environment" => Ok(Self::Environment),
            "shared-file" => Ok(Self::SharedFile),
            other => Err(Error::UnknownSource(other.to_owned())),
        }
    }
}

/// Why there are no credentials. None of these quotes a value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration names a provider that does not exist.
    #[error(
        "no credentials provider is called `{0}`; use `default`, `environment` or `shared-file`"
    )]
    UnknownSource(String),
    /// A variable is missing.
    #[error(
        "the environment has no {0}; set it in the daemon's environment, or use `credentials = \"shared-file\"`"
    )]
    MissingVariable(&'static str),
    /// Neither the environment nor a file.
    #[error(
        "no credentials: the environment has no ALIBABA_CLOUD_ACCESS_KEY_ID, and there is no file {0}; give one of them"
    )]
    Nowhere(PathBuf),
    /// The file can't be read.
    #[error("cannot read the credentials file {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large to be a credentials file.
    #[error("the credentials file {0} is larger than 1 MiB: it is no credentials file")]
    TooLarge(PathBuf),
    /// The home folder is unknown, so the default file has no place.
    #[error(
        "neither `credentials_file` nor HOME is set, so the credentials file has no place; set `credentials_file`"
    )]
    NoHome,
    /// The profile is missing.
    #[error("the credentials file {path} has no section [{profile}]")]
    NoProfile {
        /// The file.
        path: PathBuf,
        /// The section looked for.
        profile: String,
    },
    /// A key of the profile is missing.
    #[error("section [{profile}] of the credentials file {path} has no `{key}`")]
    NoKey {
        /// The file.
        path: PathBuf,
        /// The section.
        profile: String,
        /// The key looked for.
        key: &'static str,
    },
    /// The profile is of a kind that is not built yet.
    #[error(
        "section [{profile}] of the credentials file {path} has type `{kind}`, which is not supported yet; use `access_key` or `sts`"
    )]
    Kind {
        /// The file.
        path: PathBuf,
        /// The section.
        profile: String,
        /// The type that stands there.
        kind: String,
    },
}

/// How to find the credentials of one connection.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Which source.
    pub source: Source,
    /// The INI file; without one `~/.alibabacloud/credentials.ini` (or `ALIBABA_CLOUD_CREDENTIALS_FILE`).
    pub file: Option<PathBuf>,
    /// The section of the INI file.
    pub profile: String,
}

impl Default for Provider {
    fn default() -> Self {
        Self { source: Source::Default, file: None, profile: "default".to_owned() }
    }
}

impl Provider {
    /// Reads the credentials now, from this process's environment and the file system.
    ///
    /// # Errors
    /// Where there are none, or they are incomplete.
    pub fn load(&self) -> Result<Credentials, Error> {
        self.load_with(&|name| std::env::var(name).ok())
    }

    fn load_with(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Credentials, Error> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        match self.source {
            Source::Environment => environment(&variable),
            Source::SharedFile => self.shared_file(&variable),
            Source::Default if variable("ALIBABA_CLOUD_ACCESS_KEY_ID").is_some() => {
                environment(&variable)
            }
            Source::Default => match self.shared_file(&variable) {
                Err(Error::Unreadable { path, source })
                    if source.kind() == std::io::ErrorKind::NotFound =>
                {
                    Err(Error::Nowhere(path))
                }
                other => other,
            },
        }
    }

    /// Where [`Self::load`] looks, in words that hold no secret.
    #[must_use]
    pub fn place(&self) -> String {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let environment = self.source == Source::Environment
            || (self.source == Source::Default
                && variable("ALIBABA_CLOUD_ACCESS_KEY_ID").is_some());
        if environment {
            return "the environment (ALIBABA_CLOUD_ACCESS_KEY_ID)".to_owned();
        }
        match self.path(&variable) {
            Ok(path) => format!("section [{}] of the file {}", self.profile, path.display()),
            Err(_) => "the shared file".to_owned(),
        }
    }

    fn path(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, Error> {
        match (&self.file, variable("ALIBABA_CLOUD_CREDENTIALS_FILE"), variable("HOME")) {
            (Some(path), _, _) => Ok(path.clone()),
            (None, Some(path), _) => Ok(PathBuf::from(path)),
            (None, None, Some(home)) => {
                Ok(Path::new(&home).join(".alibabacloud").join("credentials.ini"))
            }
            (None, None, None) => Err(Error::NoHome),
        }
    }

    fn shared_file(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Credentials, Error> {
        let path = self.path(variable)?;
        let unreadable = |source| Error::Unreadable { path: path.clone(), source };
        if std::fs::metadata(&path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
            return Err(Error::TooLarge(path));
        }
        let text = std::fs::read_to_string(&path).map_err(unreadable)?;
        profile(&text, &self.profile, &path)
    }
}

fn environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Credentials, Error> {
    let need = |name| variable(name).ok_or(Error::MissingVariable(name));
    Ok(Credentials::new(
        need("ALIBABA_CLOUD_ACCESS_KEY_ID")?,
        need("ALIBABA_CLOUD_ACCESS_KEY_SECRET")?,
        variable("ALIBABA_CLOUD_SECURITY_TOKEN"),
    ))
}

/// One profile of an INI text: `[section]`, `key = value`, comments from `#` or `;` at the start of a line.
fn profile(text: &str, profile: &str, path: &Path) -> Result<Credentials, Error> {
    let mut section = None;
    let mut found = false;
    let mut values = std::collections::BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = Some(name.trim());
            found |= section == Some(profile);
        } else if let (true, Some((key, value))) = (section == Some(profile), line.split_once('='))
        {
            values.insert(key.trim(), value.trim());
        }
    }
    if !found {
        return Err(Error::NoProfile { path: path.to_owned(), profile: profile.to_owned() });
    }
    let get = |key: &str| values.get(key).copied().filter(|value| !value.is_empty());
    let need = |key| {
        get(key).ok_or(Error::NoKey { path: path.to_owned(), profile: profile.to_owned(), key })
    };
    match get("type").unwrap_or("access_key") {
        "access_key" => {
            Ok(Credentials::new(need("access_key_id")?, need("access_key_secret")?, None))
        }
        "sts" => Ok(Credentials::new(
            need("access_key_id")?,
            need("access_key_secret")?,
            Some(need("security_token")?.to_owned()),
        )),
        kind => Err(Error::Kind {
            path: path.to_owned(),
            profile: profile.to_owned(),
            kind: kind.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INI: &str = "# the team's\n[default]\ntype = access_key\naccess_key_id = LTAIfile\naccess_key_secret=s=1\n\n\
        [temp]\ntype = sts\naccess_key_id = STS.x\naccess_key_secret = s2\nsecurity_token = t2\n[role]\ntype = ram_role_arn\n";

    fn from_file(name: &str) -> Result<Credentials, Error> {
        profile(INI, name, Path::new("c.ini"))
    }

    #[test]
    fn profiles_of_both_kinds_are_read() {
        let key = from_file("default").unwrap();
        assert_eq!((key.key_id.as_str(), key.secret.expose_secret()), ("LTAIfile", "s=1"));
        assert!(key.token.is_none());
        let temporary = from_file("temp").unwrap();
        assert_eq!(temporary.token.unwrap().expose_secret(), "t2");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            from_file("other").unwrap_err().to_string(),
            "the credentials file c.ini has no section [other]"
        );
        assert!(
            from_file("role")
                .unwrap_err()
                .to_string()
                .contains("`ram_role_arn`, which is not supported yet")
        );
        let error =
            profile("[default]\naccess_key_id=x", "default", Path::new("c.ini")).unwrap_err();
        assert!(error.to_string().ends_with("has no `access_key_secret`"));
    }

    #[test]
    fn the_environment_comes_first_in_the_chain() {
        let environment = |name: &str| match name {
            "ALIBABA_CLOUD_ACCESS_KEY_ID" => Some("LTAIenv".to_owned()),
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET" => Some("env".to_owned()),
            _ => None,
        };
        let provider = Provider { file: Some("/nowhere/c.ini".into()), ..Provider::default() };
        assert_eq!(provider.load_with(&environment).unwrap().key_id, "LTAIenv");
        assert!(matches!(provider.load_with(&|_| None).unwrap_err(), Error::Nowhere(_)));
    }

    #[test]
    fn half_a_key_in_the_environment_is_an_error_and_not_another_account() {
        let half =
            |name: &str| (name == "ALIBABA_CLOUD_ACCESS_KEY_ID").then(|| "LTAIenv".to_owned());
        let error = Provider::default().load_with(&half).unwrap_err();
        assert!(matches!(error, Error::MissingVariable("ALIBABA_CLOUD_ACCESS_KEY_SECRET")));
    }

    #[test]
    fn secrets_do_not_print() {
        let credentials = Credentials::new("id", "topsecret", Some("tok123".into()));
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("topsecret") && !shown.contains("tok123"), "{shown}");
        assert_eq!(credentials.redact("a topsecret b tok123"), "a [REDACTED] b [REDACTED]");
    }
}
