//! What a rebuild makes anew because it was taken.

use clap::{Args, ValueEnum};

/// Keys that were taken.
#[derive(Clone, Debug, Args)]
pub struct Renewal {
    /// Keys were taken: `--new ca,front-proxy,sa,encryption`, and what changed in roles and webhooks is shown.
    #[arg(long, conflicts_with = "new")]
    pub after_theft: bool,
    /// What is made anew, so that nothing is believed that the old one signed.
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub new: Vec<NewKey>,
}

/// A key that a rebuild can make anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum NewKey {
    /// The cluster's CA: certificates of people, kubelets and apiservers.
    Ca,
    /// The CA by which aggregated apiservers know this one.
    FrontProxy,
    /// The key that signs service accounts' tokens.
    Sa,
    /// The key that encrypts what the API stores; the old one stays to read with.
    Encryption,
}
