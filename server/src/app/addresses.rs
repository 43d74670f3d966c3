//! Where a node listens, and what it tells others of that.

use super::{Failure, failed, misconfigured};
use crate::config::{Settings, parse_host_port};
use crate::net;
use crate::topology::HostPort;
use parking_lot::Mutex;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// An address of the setting `bind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bind {
    address: IpAddr,
    /// Written with a leading `-`: it may be missing on this machine.
    optional: bool,
}

/// The four ports and the sockets bound to them.
pub(super) struct Bound {
    pub addresses: Vec<IpAddr>,
    pub client: Vec<TcpListener>,
    pub cluster: Vec<TcpListener>,
    pub peer: Vec<TcpListener>,
    pub http: Vec<TcpListener>,
}

/// What other machines are told.
#[derive(Debug, Clone)]
pub(super) struct Advertised {
    pub client: HostPort,
    pub cluster: HostPort,
    pub peer: HostPort,
}

/// How long a connection to itself may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// Advertised addresses at which the node cannot reach itself.
#[derive(Clone, Default)]
pub(super) struct Unreachable(Arc<Mutex<Vec<String>>>);

impl Unreachable {
    /// Looks whether the node reaches itself where it tells others that it is. Its sockets listen from before it has a
    /// place in a cluster: a wrong peer address may be why it gets none.
    pub async fn check(self, advertised: Advertised) {
        let Advertised { client, cluster, peer } = advertised;
        let settings = ["advertise-client", "advertise-cluster", "advertise-peer"];
        for (setting, address) in settings.into_iter().zip([client, cluster, peer]) {
            let connecting = tokio::net::TcpStream::connect((address.host.clone(), address.port));
            let reason = match tokio::time::timeout(CHECK_TIMEOUT, connecting).await {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".into(),
            };
            tracing::warn!(
                setting,
                %address,
                reason,
                "this node cannot reach itself at an address that it advertises: others may not either"
            );
            self.0.lock().push(format!("{address} ({setting})"));
        }
    }

    /// What there is to say of it.
    pub fn reason(&self) -> Option<String> {
        let addresses = self.0.lock();
        let all = addresses.join(", ");
        (!addresses.is_empty()).then(|| format!("it cannot reach itself at the advertised address {all}"))
    }
}

/// Distances of the other ports from the client port.
const OFFSETS: [(&str, u16); 3] = [("cluster-port", 1000), ("peer-port", 10_000), ("http-port", 2000)];

/// Binds all ports, and records in the settings which they are.
pub(super) fn bind(settings: &Settings) -> Result<Bound, (Failure, String)> {
    let binds = resolve(&settings.words("bind")).map_err(misconfigured)?;
    let (addresses, client) = bind_port(&binds, "port", settings.number("port") as u16).map_err(failed)?;
    note(settings, "port", &client).map_err(failed)?;
    let mut others = Vec::new();
    for (name, offset) in OFFSETS {
        let port = match settings.text(name) {
            Some(port) => port.parse().unwrap_or(0),
            // Nothing says that ports at fixed distances from one that was picked are free.
            None if settings.was_picked("port") => 0,
            None => (settings.number("port") as u16)
                .checked_add(offset)
                .ok_or_else(|| format!("{name}: {} + {offset} is no port; set --{name}", settings.number("port")))
                .map_err(misconfigured)?,
        };
        let (_, sockets) = bind_port(&binds, name, port).map_err(failed)?;
        note(settings, name, &sockets).map_err(failed)?;
        others.push(sockets);
    }
    let [cluster, peer, http] = others.try_into().map_err(|_| failed("three other ports"))?;
    Ok(Bound { addresses, client, cluster, peer, http })
}

fn note(settings: &Settings, name: &str, sockets: &[TcpListener]) -> Result<(), String> {
    let port = sockets.first().ok_or("nothing to bind")?.local_addr().map_err(|error| error.to_string())?.port();
    settings.settle(name, &port.to_string());
    Ok(())
}

fn resolve(words: &[String]) -> Result<Vec<Bind>, String> {
    let mut binds = Vec::new();
    for word in words {
        let (name, optional) = word.strip_prefix('-').map_or((word.as_str(), false), |rest| (rest, true));
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<IpAddr> = match name {
            "*" => vec![Ipv4Addr::UNSPECIFIED.into()],
            "::*" => vec![Ipv6Addr::UNSPECIFIED.into()],
            // The system would take `3` for 0.0.0.3.
            name if name.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(format!("bind {name}: a number is no address"));
            }
            name => match name.parse() {
                Ok(address) => vec![address],
                Err(_) => match (name, 0).to_socket_addrs() {
                    Ok(found) => found.map(|address| address.ip()).collect(),
                    Err(_) if optional => Vec::new(),
                    Err(error) => return Err(format!("bind {name}: {error}")),
                },
            },
        };
        binds.extend(addresses.into_iter().map(|address| Bind { address, optional }));
    }
    binds.dedup();
    if binds.is_empty() {
        return Err("bind: no address to listen on".into());
    }
    Ok(binds)
}

/// Binds `port` on every address; port 0 picks one that is then the same on all of them.
fn bind_port(binds: &[Bind], name: &str, mut port: u16) -> Result<(Vec<IpAddr>, Vec<TcpListener>), String> {
    let (mut addresses, mut sockets) = (Vec::new(), Vec::new());
    for bind in binds {
        let address = SocketAddr::new(bind.address, port);
        match net::bind(address) {
            Ok(socket) => {
                port = socket.local_addr().map_err(|error| error.to_string())?.port();
                addresses.push(bind.address);
                sockets.push(socket);
            }
            Err(error) if bind.optional && is_missing(&error) => {}
            Err(error) => return Err(format!("cannot listen on {address} ({name}): {error}")),
        }
    }
    match sockets.is_empty() {
        true => Err(format!("cannot listen on port {port} ({name}): none of the addresses of bind is of this machine")),
        false => Ok((addresses, sockets)),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// What is advertised: what was set, else the first address that is bound, else one of this machine.
pub(super) fn advertise(settings: &Settings, addresses: &[IpAddr]) -> Advertised {
    let host = host(addresses);
    let one = |name: &str, port: &str| {
        let port = settings.number(port) as u16;
        settings
            .text(name)
            .and_then(|text| parse_host_port(&text))
            .unwrap_or_else(|| HostPort { host: host.clone(), port })
    };
    Advertised {
        client: one("advertise-client", "port"),
        cluster: one("advertise-cluster", "cluster-port"),
        peer: one("advertise-peer", "peer-port"),
    }
}

fn host(addresses: &[IpAddr]) -> String {
    match addresses.iter().find(|address| !address.is_unspecified()) {
        Some(address) => address.to_string(),
        None => {
            let ipv6 = addresses.iter().all(IpAddr::is_ipv6);
            outward(ipv6).unwrap_or_else(|| if ipv6 { "::1".into() } else { "127.0.0.1".into() })
        }
    }
}

/// The address from which this machine would reach others. Nothing is sent: connecting a datagram socket only chooses a
/// route. The targets are of the ranges reserved for documentation.
fn outward(ipv6: bool) -> Option<String> {
    let (from, to) = if ipv6 { ("[::]:0", "[2001:db8::1]:9") } else { ("0.0.0.0:0", "192.0.2.1:9") };
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|address| address.ip().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Settings::load(None, &pairs).unwrap()
    }

    #[test]
    fn picked_ports_are_recorded_and_advertised() {
        let settings = settings(&[("port", "0"), ("bind", "127.0.0.1 -2001:db8::77")]);
        let bound = bind(&settings).unwrap();
        assert_eq!((bound.addresses.len(), bound.client.len(), bound.peer.len()), (1, 1, 1));
        let port = bound.client[0].local_addr().unwrap().port();
        assert_eq!(settings.number("port"), u64::from(port));
        assert_ne!(settings.number("cluster-port"), 0);
        let advertised = advertise(&settings, &bound.addresses);
        assert_eq!(advertised.client, HostPort { host: "127.0.0.1".into(), port });
        let taken = self::settings(&[("port", &port.to_string())]);
        let error = bind(&taken).err().unwrap();
        assert!(error.1.contains(&format!("cannot listen on 127.0.0.1:{port} (port)")), "{}", error.1);
    }

    #[test]
    fn what_is_set_wins_and_what_does_not_fit_is_refused() {
        let settings = settings(&[("advertise-cluster", "cache.example:7000"), ("port", "7777")]);
        let advertised = advertise(&settings, &["0.0.0.0".parse().unwrap()]);
        assert_eq!(advertised.cluster.to_string(), "cache.example:7000");
        assert!(!advertised.client.host.is_empty() && advertised.client.host != "0.0.0.0");
        assert!(resolve(&[]).is_err());
        assert_eq!(resolve(&["3".into()]), Err("bind 3: a number is no address".into()));
        assert_eq!(resolve(&["-nosuchhost.invalid".into(), "::1".into()]).unwrap().len(), 1);
    }
}
