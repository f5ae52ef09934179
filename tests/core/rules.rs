//! The rules about host network, namespaces, what is inside them and what flows say, driven by facts through the engine: true positive, benign twin,
//! facts in either order, no repetition of what was told.

mod anomalies;
mod blind_spots;
mod changed_by;
mod content;
mod exceptions;
mod facts;
mod firewall;
mod first_process;
mod floods;
mod host_logging;
mod host_network;
mod inside;
mod log_files;
mod log_shipping;
mod namespaces;
mod new_traffic;
mod sender;
mod sysctls;
mod unjudged;
mod unmonitored;
mod volumes;
