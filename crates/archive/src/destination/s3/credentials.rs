//! Who we are to S3: keys from a file, from a command or from the machine that this runs on.
//!
//! Files and commands are asked anew after five minutes, which is well within the life of any key that ends.

use super::error::printable;
use crate::Secret;
use crate::printed::{Unprinted, printed};
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use object_store::{CredentialProvider, Error};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::Mutex;

/// How long what was read is good.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The largest file that is read, in bytes.
const MAX: u64 = 64 << 10;

/// Where the keys come from.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// From whoever calls: the environment of an operator's run.
    Keys {
        /// `AWS_ACCESS_KEY_ID`
        id: String,
        /// `AWS_SECRET_ACCESS_KEY`
        secret: Secret,
        /// `AWS_SESSION_TOKEN`
        token: Option<Secret>,
    },
    /// A file like AWS's shared credentials: `aws_access_key_id`, `aws_secret_access_key` and perhaps
    /// `aws_session_token`, in the section `[default]` or in none.
    File(PathBuf),
    /// A command for `sh -c`, which prints the same, or JSON as AWS's `credential_process` does.
    Command(String),
    /// The metadata service of the machine.
    Instance,
}

impl Credentials {
    /// What the store asks; `None` where it asks the machine itself.
    pub(super) fn provider(&self) -> Option<AwsCredentialProvider> {
        match self {
            Self::Instance => None,
            from => Some(Arc::new(Provider { from: from.clone(), known: Mutex::new(None) })),
        }
    }

    async fn read(&self) -> Result<AwsCredential, String> {
        let none = |what: String| format!("{what}: there is no aws_access_key_id with a secret in it");
        match self {
            Self::Keys { id, secret, token } => {
                let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).into_owned();
                let (secret_key, token) = (text(secret), token.as_ref().map(text));
                Ok(AwsCredential { key_id: id.clone(), secret_key, token })
            }
            Self::File(path) => {
                let what = path.display().to_string();
                let mut text = Vec::new();
                let file = tokio::fs::File::open(path).await.map_err(|error| format!("{what}: {error}"))?;
                file.take(MAX).read_to_end(&mut text).await.map_err(|error| format!("{what}: {error}"))?;
                parse(&Secret::new(text)).ok_or_else(|| none(what))
            }
            Self::Command(command) => {
                let what = format!("the command {command:?}");
                let printed = run(command).await.map_err(|why| format!("{what}: {why}"))?;
                parse(&printed).ok_or_else(|| none(what))
            }
            Self::Instance => Err("the machine is not asked here".to_owned()),
        }
    }
}

#[derive(Debug)]
struct Provider {
    from: Credentials,
    known: Mutex<Option<(Instant, Arc<AwsCredential>)>>,
}

#[async_trait::async_trait]
impl CredentialProvider for Provider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut known = self.known.lock().await;
        if let Some((since, credential)) = &*known
            && since.elapsed() < FRESH
        {
            return Ok(credential.clone());
        }
        let read = self.from.read().await;
        let credential = Arc::new(read.map_err(|why| Error::Generic {
            store: "S3",
            source: format!("no credentials: {why}").into(),
        })?);
        *known = Some((Instant::now(), credential.clone()));
        Ok(credential)
    }
}

async fn run(command: &str) -> Result<Secret, String> {
    let printed = printed(Command::new("sh").args(["-c", command]), PATIENCE).await;
    printed.map_err(|why| match why {
        Unprinted::Failed { status, said } => {
            format!("{status}: {}", printable(&said)).trim_end_matches(": ").to_owned()
        }
        why => why.to_string(),
    })
}

/// Keys from an ini file's default section, or from JSON.
fn parse(text: &Secret) -> Option<AwsCredential> {
    let text = std::str::from_utf8(text.expose()).ok()?;
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut take = |key: &str, value: &str| {
        let value = (!value.is_empty()).then(|| value.to_owned());
        match key.to_ascii_lowercase().as_str() {
            "aws_access_key_id" | "accesskeyid" => id = value,
            "aws_secret_access_key" | "secretaccesskey" => secret = value,
            "aws_session_token" | "sessiontoken" => token = value,
            _ => {}
        }
    };
    if text.trim_start().starts_with('{') {
        let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        for (key, value) in &json {
            take(key, value.as_str().unwrap_or_default());
        }
    } else {
        let mut ours = true;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                ours = line == "[default]";
            } else if let Some((key, value)) = line.split_once('=').filter(|_| ours) {
                take(key.trim(), value.trim());
            }
        }
    }
    Some(AwsCredential { key_id: id?, secret_key: secret?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_every_spelling() {
        let keys = |text: &str| {
            parse(&Secret::new(text))
                .map(|read| format!("{} {} {:?}", read.key_id, read.secret_key, read.token))
        };
        let good = [
            ("aws_access_key_id = A\naws_secret_access_key=s=+/\n", "A s=+/ None"),
            (
                "[other]\naws_access_key_id=B\n[default]\naws_access_key_id=A\naws_secret_access_key=s\n",
                "A s None",
            ),
            ("AWS_ACCESS_KEY_ID=A\nAWS_SECRET_ACCESS_KEY=s\nAWS_SESSION_TOKEN=t\n", "A s Some(\"t\")"),
            (
                r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"s","SessionToken":"t"}"#,
                "A s Some(\"t\")",
            ),
            (r#"{"AccessKeyId":"A","SecretAccessKey":"s","SessionToken":""}"#, "A s None"),
        ];
        for (text, expected) in good {
            assert_eq!(keys(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "{", "aws_access_key_id=A", "[other]\naws_access_key_id=A\naws_secret_access_key=s"]
        {
            assert_eq!(keys(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn a_command_that_fails_says_why_and_no_key() {
        let read = |command: &str| Credentials::Command(command.to_owned());
        let said = read("echo aws_access_key_id=SECRET; echo locked >&2; exit 3").read().await.unwrap_err();
        assert!(said.ends_with("exit status: 3: locked"), "{said}");
        let said = read("echo none").read().await.unwrap_err();
        assert!(said.contains("no aws_access_key_id"), "{said}");
        let read = read("printf 'aws_access_key_id=A\\naws_secret_access_key=s\\n'").read().await.unwrap();
        assert_eq!((read.key_id.as_str(), read.secret_key.as_str()), ("A", "s"));
        let keys = Credentials::Keys { id: "A".into(), secret: Secret::new("hush"), token: None };
        assert!(!format!("{keys:?}").contains("hush"));
    }
}
