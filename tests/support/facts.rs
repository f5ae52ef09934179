//! Facts that many tests begin with; unit tests of the library use them too. One place to change when a fact gets another field.

use hopwatch::input::RuntimeNetwork;

/// A bridged network with its range, gateway and bridge.
pub fn bridged(name: &str, subnet: &str, gateway: &str, bridge: &str) -> RuntimeNetwork {
    RuntimeNetwork {
        id: name.chars().take(1).collect(),
        name: name.into(),
        driver: "bridge".into(),
        subnets: vec![subnet.parse().expect("a range")],
        gateways: vec![gateway.parse().expect("an address")],
        bridge: Some(bridge.into()),
        parent: None,
    }
}

/// `net`, 172.20.0.0/24 on `br-net`: where the workloads of most tests are.
pub fn network() -> RuntimeNetwork {
    bridged("net", "172.20.0.0/24", "172.20.0.1", "br-net")
}
