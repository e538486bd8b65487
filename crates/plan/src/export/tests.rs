use super::*;
use serde_json::json;

fn one(kind: &str, list: &str, version: &str, item: Value) -> Vec<Manifest> {
    let page =
        json!({"apiVersion": version, "kind": list, "metadata": {"resourceVersion": "1"}, "items": [item]});
    manifests(kind, page.to_string().as_bytes()).unwrap().0
}

#[test]
fn a_manifest_has_what_a_person_wrote() {
    let item = json!({
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"manager": "kubectl"}],
            "ownerReferences": [{"kind": "App", "name": "x", "uid": "u2"}],
            "annotations": {"deployment.kubernetes.io/revision": "1"}, "labels": {"app": "web"},
        },
        "spec": {"replicas": 2, "template": {"metadata": {"creationTimestamp": null}}},
        "status": {"readyReplicas": 2},
    });
    let made = one("deployments.apps", "DeploymentList", "apps/v1", item);
    assert_eq!(made[0].path, "shop/deployments.apps/web.yaml");
    insta::assert_snapshot!(made[0].text, @r"
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      labels:
        app: web
      name: web
      namespace: shop
    spec:
      replicas: 2
      template:
        metadata:
          creationTimestamp: null
    ");
}

#[test]
fn what_a_cluster_makes_itself_is_left_out() {
    let named = |name: &str| json!({"metadata": {"name": name, "namespace": "a"}});
    let controlled = json!({"metadata": {"name": "web-1", "ownerReferences": [{"controller": true}]}});
    let labelled =
        json!({"metadata": {"name": "edit", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}});
    let token = json!({"metadata": {"name": "t"}, "type": "kubernetes.io/service-account-token"});
    let slice = json!({"metadata": {"name": "s", "labels": {"endpointslice.kubernetes.io/managed-by": "x"}}});
    for (kind, item, left) in [
        ("events", named("e"), true),
        ("nodes", named("n"), true),
        ("leases.coordination.k8s.io", named("n"), true),
        ("leases.example.com", named("n"), false),
        ("replicasets.apps", controlled.clone(), true),
        ("widgets.example.com", controlled, true),
        ("pods", named("bare"), false),
        ("configmaps", named("kube-root-ca.crt"), true),
        ("configmaps", named("mine"), false),
        ("clusterroles.rbac.authorization.k8s.io", labelled, true),
        ("secrets", token, true),
        ("secrets", named("gold"), false),
        ("endpointslices.discovery.k8s.io", slice, true),
        ("endpointslices.discovery.k8s.io", named("by-hand"), false),
        ("apiservices.apiregistration.k8s.io", named("v1.apps"), true),
    ] {
        assert_eq!(one(kind, "XList", "v1", item.clone()).is_empty(), left, "{kind} {item}");
    }
}

#[test]
fn hostile_names_stay_below_the_folder() {
    let long = "a".repeat(253);
    for (name, wanted) in [
        ("web", "web".to_owned()),
        ("a.b_c-1", "a.b_c-1".into()),
        ("..", "%2E.".into()),
        (".hidden", "%2Ehidden".into()),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd".into()),
        ("system:node", "system%3Anode".into()),
        ("A", "%41".into()),
        ("_cluster", "%5Fcluster".into()),
        ("", "%".into()),
        ("é\0\n", "%C3%A9%00%0A".into()),
        (&long, format!("{}%{}", &long[..180], &Digest::of(long.as_bytes()).hex()[..32])),
    ] {
        assert_eq!(safe(name), wanted, "{name:?}");
        assert!(safe(name).len() <= 220);
    }
}

#[test]
fn what_is_no_list_is_refused() {
    for page in [
        "",
        "[]",
        "{}",
        r#"{"kind":"Status","items":{}}"#,
        r#"{"kind":"PodList","items":[{}]}"#,
        r#"{"kind":"PodList","items":[7]}"#,
        r#"{"kind":"PodList","items":[{"metadata":"x","spec":[]}]}"#,
    ] {
        assert!(manifests("pods", page.as_bytes()).is_err(), "{page}");
    }
    assert_eq!(manifests("pods", br#"{"kind":"PodList","items":null}"#).unwrap(), (vec![], 0));
}

#[test]
fn pieces_are_read_however_they_are_cut() {
    let text =
        "at start 1\nlist pods 5\n{\"a\"}list secrets 0\nunlisted x.y no key\",\nserved pods 3\ncomplete .\n";
    for size in 1..=text.len() {
        let mut frames = Frames::default();
        let found: Vec<Frame> =
            text.as_bytes().chunks(size).flat_map(|piece| frames.take(piece).unwrap()).collect();
        let wanted = [
            Frame::Page("pods".into(), b"{\"a\"}".into()),
            Frame::Page("secrets".into(), Vec::new()),
            Frame::Unlisted("x.y".into(), "no key".into()),
            Frame::Complete,
        ];
        assert_eq!(found, wanted, "cut every {size} bytes");
        assert_eq!(frames.said(), "at start 1\nunlisted x.y no key\",\nserved pods 3\ncomplete .\n");
    }
    for text in ["hello\n", "list pods x\n", "list pods 99999999999999\n"] {
        assert!(Frames::default().take(text.as_bytes()).is_err(), "{text}");
    }
}
