//! The parts of the runtimes' answers that are of use.
//!
//! Contract: read leniently: a part that is missing, null or of another kind than expected is left out, and the rest is kept,
//! because a container that cannot be read is a container that is not seen. Limits: [`MAX_ENTRIES`] of a map; the
//! size of the whole by the reader of the answer. Design: names as in the Docker Engine API 1.41 and Podman's libpod API 4.0, which share most of an inspect.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Entries of one map; a network of a whole host has fewer members.
const MAX_ENTRIES: usize = 16_384;

/// A part that may be of another kind than expected; it is left out then.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// As [`lenient`], entry by entry.
fn lenient_map<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).map(|entries: Entries<T>| entries.0).unwrap_or_default())
}

/// A map without the entries that cannot be read, and without those beyond [`MAX_ENTRIES`].
struct Entries<T>(BTreeMap<String, T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

struct Pairs<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for Pairs<T> {
    type Value = Entries<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
        let mut all = BTreeMap::new();
        while all.len() < MAX_ENTRIES
            && let Some((name, raw)) = map.next_entry::<String, &RawValue>()?
        {
            all.extend(serde_json::from_str(raw.get()).ok().map(|value| (name, value)));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Entries(all))
    }
}

/// An object with its parts as they are written, each read when it is asked for.
#[derive(Clone, Debug, Default)]
pub struct Section(BTreeMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Entries::<Box<RawValue>>::deserialize(deserializer).map(|entries| Self(entries.0))
    }
}

impl Section {
    /// A part; what is missing, null or of another kind is empty.
    pub(crate) fn get<T: DeserializeOwned + Default>(&self, key: &str) -> T {
        self.read(key).unwrap_or_default()
    }

    /// A part; `None` where it is missing, null or of another kind.
    pub(crate) fn read<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.0.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// A map without the entries that are of another kind.
    pub(crate) fn map<T: DeserializeOwned>(&self, key: &str) -> BTreeMap<String, T> {
        let entries = |raw: &RawValue| serde_json::from_str(raw.get()).map(|entries: Entries<T>| entries.0).ok();
        self.0.get(key).and_then(|raw| entries(raw)).unwrap_or_default()
    }

    /// Its parts, as they are written.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, raw)| (name.as_str(), &**raw))
    }
}

macro_rules! answers {
    ($($(#[$doc:meta])+ $name:ident { $($(#[$field:meta])* $part:ident: $kind:ty = $key:literal $read:literal),+ $(,)? })+) => {
        $(
            $(#[$doc])+
            #[derive(Clone, Debug, Default, serde::Deserialize)]
            #[serde(default)]
            pub struct $name {
                $($(#[$field])* #[serde(rename = $key, deserialize_with = $read)] pub(crate) $part: $kind),+
            }
        )+
    };
}

answers! {
    /// `GET /containers/ID/json`, of Docker and of Podman.
    Container {
        id: String = "Id" "lenient",
        name: String = "Name" "lenient",
        /// The image's id.
        image: String = "Image" "lenient",
        /// Podman only.
        image_digest: String = "ImageDigest" "lenient",
        /// Podman only.
        image_name: String = "ImageName" "lenient",
        /// Podman only: the pod's id.
        pod: String = "Pod" "lenient",
        /// Podman only.
        is_infra: bool = "IsInfra" "lenient",
        state: State = "State" "lenient",
        config: Section = "Config" "lenient",
        host_config: Section = "HostConfig" "lenient",
        mounts: Vec<Section> = "Mounts" "lenient",
        apparmor: String = "AppArmorProfile" "lenient",
        path: String = "Path" "lenient",
        log_path: String = "LogPath" "lenient",
        resolver_path: String = "ResolvConfPath" "lenient",
        hosts_path: String = "HostsPath" "lenient",
        args: Vec<String> = "Args" "lenient",
        /// Podman only.
        bounding_caps: Vec<String> = "BoundingCaps" "lenient",
        /// Podman only.
        oci_runtime: String = "OCIRuntime" "lenient",
        network_settings: NetworkSettings = "NetworkSettings" "lenient",
        /// Commands that run in it, in the order of their start.
        execs: Vec<String> = "ExecIDs" "lenient",
    }

    /// Of a container.
    State {
        status: String = "Status" "lenient",
        running: bool = "Running" "lenient",
        pid: i64 = "Pid" "lenient",
        started_at: String = "StartedAt" "lenient",
    }

    /// Of a container.
    NetworkSettings {
        networks: BTreeMap<String, Endpoint> = "Networks" "lenient_map",
        /// `3128/tcp` to the host's addresses and ports; null where a port is not published.
        ports: BTreeMap<String, Option<Vec<HostPort>>> = "Ports" "lenient_map",
        ip: String = "IPAddress" "lenient",
        ipv6: String = "GlobalIPv6Address" "lenient",
        mac: String = "MacAddress" "lenient",
        gateway: String = "Gateway" "lenient",
        ipv6_gateway: String = "IPv6Gateway" "lenient",
    }

    /// An address and a port of the host, both as text.
    HostPort {
        ip: String = "HostIp" "lenient",
        port: String = "HostPort" "lenient",
    }

    /// A container's end of a network, as the container says it.
    Endpoint {
        network_id: String = "NetworkID" "lenient",
        ip: String = "IPAddress" "lenient",
        prefix: u8 = "IPPrefixLen" "lenient",
        ipv6: String = "GlobalIPv6Address" "lenient",
        mac: String = "MacAddress" "lenient",
        gateway: String = "Gateway" "lenient",
        ipv6_gateway: String = "IPv6Gateway" "lenient",
    }

    /// An entry of `GET /containers/json`.
    Summary {
        id: String = "Id" "lenient",
        names: Vec<String> = "Names" "lenient",
        state: String = "State" "lenient",
        network_settings: NetworkSettings = "NetworkSettings" "lenient",
    }

    /// A network of Docker, listed or inspected.
    Network {
        id: String = "Id" "lenient",
        name: String = "Name" "lenient",
        driver: String = "Driver" "lenient",
        ipam: Ipam = "IPAM" "lenient",
        options: BTreeMap<String, String> = "Options" "lenient_map",
        containers: BTreeMap<String, Resource> = "Containers" "lenient_map",
    }

    /// Of a network.
    Ipam {
        config: Vec<Range> = "Config" "lenient",
    }

    /// An address range.
    Range {
        subnet: String = "Subnet" "lenient",
        gateway: String = "Gateway" "lenient",
    }

    /// A container's end of a network, as the network says it; addresses carry their prefix length.
    Resource {
        mac: String = "MacAddress" "lenient",
        ipv4: String = "IPv4Address" "lenient",
        ipv6: String = "IPv6Address" "lenient",
    }

    /// A network of Podman: `GET /libpod/networks/json`.
    PodmanNetwork {
        id: String = "id" "lenient",
        name: String = "name" "lenient",
        driver: String = "driver" "lenient",
        interface: String = "network_interface" "lenient",
        subnets: Vec<PodmanRange> = "subnets" "lenient",
    }

    /// Of a Podman network.
    PodmanRange {
        subnet: String = "subnet" "lenient",
        gateway: String = "gateway" "lenient",
    }

    /// A pod of Podman.
    PodmanPod {
        name: String = "Name" "lenient",
    }

    /// `GET /images/ID/json`.
    Image {
        repo_digests: Vec<String> = "RepoDigests" "lenient",
    }

    /// `GET /version`.
    Version {
        api: String = "ApiVersion" "lenient",
        components: Vec<Component> = "Components" "lenient",
    }

    /// Of a version.
    Component {
        name: String = "Name" "lenient",
        version: String = "Version" "lenient",
    }

    /// A line of `GET /events`.
    Event {
        kind: String = "Type" "lenient",
        action: String = "Action" "lenient",
        actor: Actor = "Actor" "lenient",
        time_nano: i64 = "timeNano" "lenient",
    }

    /// `GET /exec/ID/json`.
    ExecInspect {
        container: String = "ContainerID" "lenient",
        process: Section = "ProcessConfig" "lenient",
    }

    /// Whom an event is about.
    Actor {
        id: String = "ID" "lenient",
        attributes: BTreeMap<String, String> = "Attributes" "lenient_map",
    }
}

impl Container {
    /// Its end of a network, if it is attached to it.
    pub fn endpoint(&self, network: &str) -> Option<&Endpoint> {
        self.network_settings.networks.get(network)
    }
}

impl Network {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Endpoint {
    /// The network's id; empty when it is not known.
    pub fn network_id(&self) -> &str {
        &self.network_id
    }

    /// The IPv4 range that the address lies in.
    pub fn range(&self) -> Option<IpNetwork> {
        let prefix = Some(self.prefix).filter(|prefix| *prefix > 0)?;
        let range = IpNetwork::new(self.ip.parse().ok()?, prefix).ok()?;
        IpNetwork::new(range.network(), prefix).ok()
    }

    /// The IPv4 gateway.
    pub fn gateway(&self) -> Option<IpAddr> {
        self.gateway.parse().ok()
    }
}
