//! Kubeconfig files, as client-go writes them: keys sorted, one cluster, one user, one context.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a kubeconfig says.
pub struct Fields<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The user's name: the certificate's CN.
    pub user: &'a str,
    /// `https://HOST:PORT`.
    pub server: &'a str,
    /// The name to expect in the server's certificate, where it is not the URL's host.
    pub tls_server_name: Option<&'a str>,
    /// The CA's certificate, PEM.
    pub ca: &'a str,
    /// The user's certificate and key.
    pub credentials: Credentials<'a>,
}

/// The user's certificate and key.
pub enum Credentials<'a> {
    /// Embedded.
    Embedded {
        /// PEM.
        certificate: &'a str,
        /// PEM.
        key: &'a str,
    },
    /// Both in the file at this path.
    File(&'a str),
}

/// The file's text.
pub fn render(fields: &Fields<'_>) -> String {
    let Fields { cluster, user, server, tls_server_name, ca, credentials } = fields;
    let ca = STANDARD.encode(ca);
    let tls_server_name =
        tls_server_name.map(|name| format!("    tls-server-name: {}\n", scalar(name))).unwrap_or_default();
    let credentials = match credentials {
        Credentials::Embedded { certificate, key } => format!(
            "    client-certificate-data: {}\n    client-key-data: {}\n",
            STANDARD.encode(certificate),
            STANDARD.encode(key),
        ),
        Credentials::File(path) => format!("    client-certificate: {path}\n    client-key: {path}\n"),
    };
    let context = scalar(&format!("{user}@{cluster}"));
    let (cluster, user, server) = (scalar(cluster), scalar(user), scalar(server));
    format!(
        "apiVersion: v1\n\
         clusters:\n\
         - cluster:\n    \
             certificate-authority-data: {ca}\n    \
             server: {server}\n\
         {tls_server_name}  \
           name: {cluster}\n\
         contexts:\n\
         - context:\n    \
             cluster: {cluster}\n    \
             user: {user}\n  \
           name: {context}\n\
         current-context: {context}\n\
         kind: Config\n\
         users:\n\
         - name: {user}\n  \
           user:\n\
         {credentials}"
    )
}

/// A YAML scalar that is read as this string: plain where client-go writes it plain, else quoted (a JSON
/// string is one of YAML, too). A cluster may be called `true` or `123`.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/@[]".contains(&byte);
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(plain)
        && !text.ends_with(':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { format!("\"{}\"", text.escape_default()) }
}
