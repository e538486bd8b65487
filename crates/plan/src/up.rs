//! `up`: the flat list. The same steps build a cluster from nothing and converge one that stands; what differs
//! is how an etcd member comes to its data, and that nothing restarts on two control planes at once.

use crate::parts::{
    addons, api_endpoint, certificates, control_plane, etcd, health, host, kubelet, network, runtime,
    snapshots,
};
use crate::{Context, Growth, TemplateError, rebuild};
use inventory::{Node, Role};
use step::{HostId, Lane, Needs, Order, Plan, Stage, Step};

/// Everything that makes the cluster what the inventory says. Nodes that gave no answer have no lane.
pub fn up(context: &Context) -> Result<Plan, TemplateError> {
    let nodes: Vec<&Node> = context.cluster.nodes.iter().filter(|node| context.answered(node)).collect();
    let control_planes: Vec<&Node> = of_role(&nodes, Role::ControlPlane);
    let workers: Vec<&Node> = of_role(&nodes, Role::Worker);
    let mut stages: Vec<Stage> =
        context.rebuild.map(|rebuild| rebuild::set_aside(context, rebuild, &nodes)).into_iter().collect();
    stages.extend(match context.growth {
        Growth::Laid => vec![Stage {
            needs: rebuild::stopped(context, &control_planes),
            ..stage(context, "bring up", Order::Together, &nodes)?
        }],
        Growth::Added => {
            // Members that stand first: one that comes back counts for the quorum of the next.
            let (standing, coming): (Vec<&Node>, Vec<&Node>) =
                control_planes.iter().copied().partition(|node| context.has_etcd_data(node));
            vec![
                stage(context, "control planes", Order::OneByOne, &standing)?,
                stage(context, "new control planes", Order::OneByOne, &coming)?,
                stage(context, "workers", Order::Together, &workers)?,
            ]
        }
    });
    if let Some(coordinator) = context.coordinator(&control_planes)
        && !context.holds()
    {
        stages.push(finish(context, coordinator, &nodes, &control_planes));
    }
    stages.retain(|stage| !stage.lanes.is_empty());
    Ok(Plan { stages })
}

fn of_role<'a>(nodes: &[&'a Node], role: Role) -> Vec<&'a Node> {
    nodes.iter().copied().filter(|node| node.role == role).collect()
}

fn stage(context: &Context, name: &str, order: Order, nodes: &[&Node]) -> Result<Stage, TemplateError> {
    let lanes = nodes.iter().map(|node| lane(context, node)).collect::<Result<_, _>>()?;
    Ok(Stage { name: name.into(), order, needs: Needs::default(), lanes })
}

fn lane(context: &Context, node: &Node) -> Result<Lane, TemplateError> {
    let mut steps: Vec<Step> = Vec::new();
    steps.extend(host::steps(context, node)?);
    steps.extend(runtime::steps(context, node)?);
    steps.extend(certificates::steps(context, node));
    steps.extend(network::steps(context, node)?);
    steps.extend(kubelet::files(context, node)?);
    match node.role {
        Role::ControlPlane => {
            steps.extend(control_plane::files(context, node)?);
            // It comes up while etcd's data is laid.
            steps.push(kubelet::start());
            steps.extend(etcd::data(context, node));
            steps.push(control_plane::etcd_manifest(context, node)?);
            steps.push(kubelet::answers());
            steps.extend(etcd::ready(context, node));
            steps.extend(context.rebuild.map(rebuild::leases));
            steps.extend(control_plane::api_server(context, node)?);
            if context.holds() {
                return Ok(Lane { on: HostId::new(&node.name), steps });
            }
            if let Some(rebuild) = context.rebuild {
                steps.extend([
                    addons::administrators(context),
                    rebuild::clear(rebuild, context.coordinates(node)),
                ]);
            }
            steps.extend(control_plane::controllers(context, node)?);
            if context.growth == Growth::Laid && context.coordinates(node) {
                steps.extend(addons::for_pods(context));
            }
            steps.extend(snapshots::steps(context, node)?);
        }
        Role::Worker => {
            steps.extend(api_endpoint::steps(context, node)?);
            steps.extend([kubelet::start(), kubelet::answers()]);
            steps.extend(context.rebuild.and_then(|rebuild| rebuild::register(rebuild, node)));
            steps.extend(context.rebuild.and_then(|rebuild| rebuild::kubelet(rebuild, node)));
        }
        Role::Etcd => {}
    }
    Ok(Lane { on: HostId::new(&node.name), steps })
}

/// What one control plane does for all, and the wait for what was promised.
fn finish(context: &Context, coordinator: &Node, nodes: &[&Node], control_planes: &[&Node]) -> Stage {
    let mut steps = Vec::new();
    if context.growth == Growth::Added {
        steps.extend(addons::for_pods(context));
    }
    steps.extend(addons::for_people(context));
    steps.extend(context.rebuild.map(|_| rebuild::reported(nodes)));
    steps.push(health::registered(nodes));
    steps.push(addons::nodes(nodes));
    let came_back = context.growth == Growth::Added || context.rebuild.is_some();
    steps.extend(came_back.then(rebuild::follow));
    steps.extend(health::steps(context, nodes));
    steps.extend(came_back.then(rebuild::put_back));
    Stage {
        name: "finish".into(),
        order: Order::Together,
        needs: Needs { of: control_planes.iter().map(|node| HostId::new(&node.name)).collect(), at_least: 1 },
        lanes: vec![Lane { on: HostId::new(&coordinator.name), steps }],
    }
}
