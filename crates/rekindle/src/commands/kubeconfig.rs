//! `kubeconfig`: an admin's kubeconfig that works from here, made from the archive's CA.

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::loaded::Loaded;
use crate::report::Reporter;
use crate::vault::Vault;
use pki::{ExposeSecret, SystemEntropy};
use time::OffsetDateTime;

/// Prints it: it is a key, so nothing else is printed with it.
pub fn run(args: &cli::Kubeconfig, environment: &Environment, report: &Reporter) -> Outcome {
    let loaded = Loaded::read(&args.cluster.file.inventory, report)?;
    let vault = Vault::new(&loaded, &args.cluster.identity, args.cluster.trust_on_first_use, environment)?;
    let remembered = vault.open()?.ok_or_else(|| {
        Failure::refused("the archive is empty").hint("`rekindle up` makes the cluster first")
    })?;
    let text = admin(&loaded, &remembered.bundle, args.server.as_deref())?;
    report.result(text.expose_secret(), serde_json::json!({ "kubeconfig": text.expose_secret() }));
    Ok(Exit::Done)
}

/// An admin's kubeconfig. By default it names the first control plane by its address, which is in every
/// apiserver's certificate; the cluster's own name for the endpoint is known to nodes only.
pub fn admin(loaded: &Loaded, bundle: &pki::Bundle, server: Option<&str>) -> Result<pki::Secret, Failure> {
    let cluster = loaded.cluster();
    let first = cluster.control_planes().next().map(|node| node.address.to_string()).unwrap_or_default();
    let server =
        server.map_or_else(|| format!("https://{}", plan::kubeadm::host_port(&first, 6443)), str::to_owned);
    bundle
        .admin_kubeconfig(
            cluster,
            &server,
            Some(&cluster.api.host),
            OffsetDateTime::now_utc(),
            &mut SystemEntropy,
        )
        .map_err(|error| Failure::because(&error))
}
