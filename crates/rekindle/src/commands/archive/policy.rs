//! `archive policy s3`: what the credentials of a bucket may do, as Amazon's policy language says it.

use crate::cli::{InventoryFile, PolicyFor};
use crate::failure::{Exit, Failure, Outcome};
use crate::loaded::Loaded;
use crate::report::Reporter;
use inventory::{Bucket, Place};
use serde_json::{Value, json};

/// Prints the policy of each bucket of the inventory.
pub fn run(file: &InventoryFile, wanted: PolicyFor, principal: Option<&str>, report: &Reporter) -> Outcome {
    let loaded = Loaded::read(&file.inventory, report)?;
    let policies: Vec<Value> = loaded
        .cluster()
        .archive
        .to
        .iter()
        .filter_map(|to| match &to.place {
            Place::S3(bucket) => Some(policy(bucket, wanted, principal)),
            _ => None,
        })
        .collect();
    if policies.is_empty() {
        return Err(
            Failure::refused("the archive has no bucket").hint("`to` under [archive] names the places")
        );
    }
    let text: Vec<String> =
        policies.iter().map(|policy| serde_json::to_string_pretty(policy).unwrap_or_default()).collect();
    report.result(&text.join("\n"), json!({"policies": policies}));
    Ok(Exit::Done)
}

/// The statement that lets in writes of new names only.
pub const PUT: &str = "RekindlePutNew";
/// The statement that lets an operator remove what he pruned; nodes have none of the kind.
pub const DELETE: &str = "RekindleDelete";

/// For one credential: read, list, and write what is not there yet. With a `principal` it is a bucket's own policy,
/// without one it is attached to a user or a role.
fn policy(bucket: &Bucket, wanted: PolicyFor, principal: Option<&str>) -> Value {
    let below = if bucket.prefix.is_empty() { String::new() } else { format!("{}/", bucket.prefix) };
    let arn = format!("arn:aws:s3:::{}", bucket.bucket);
    let objects = format!("{arn}/{below}*");
    let mut list =
        json!({"Sid": "RekindleList", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn});
    if !below.is_empty() {
        list["Condition"] = json!({"StringLike": {"s3:prefix": format!("{below}*")}});
    }
    let mut statements = vec![
        json!({"Sid": "RekindleGet", "Effect": "Allow", "Action": "s3:GetObject", "Resource": objects}),
        list,
        // The header must be there: then S3 writes only where nothing is.
        json!({
            "Sid": PUT, "Effect": "Allow", "Action": "s3:PutObject", "Resource": objects,
            "Condition": {"Null": {"s3:if-none-match": "false"}},
        }),
    ];
    if wanted == PolicyFor::Operator {
        let delete =
            json!({"Sid": DELETE, "Effect": "Allow", "Action": "s3:DeleteObject", "Resource": objects});
        statements.push(delete);
    }
    if let Some(principal) = principal {
        for statement in &mut statements {
            statement["Principal"] = json!({"AWS": principal});
        }
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}
