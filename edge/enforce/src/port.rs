//! TCP ports: held without listening, so that the holder can listen over it; proved free by listening.
use rustix::net::{
    AddressFamily, Ipv4Addr, SocketAddrV4, SocketFlags, SocketType, bind, listen, socket_with,
    sockopt::set_socket_reuseaddr,
};
use std::{io, os::fd::OwnedFd};

/// A port that nobody can take without asking for it: bound with `SO_REUSEADDR` and not listening. A
/// process that sets `SO_REUSEADDR` itself, as servers do, can bind and listen over it.
#[derive(Debug)]
pub struct Hold {
    _socket: OwnedFd,
}

/// Holds a port on all addresses.
///
/// # Errors
/// When somebody listens on it, or it needs rights that we lack.
pub fn hold_port(port: u16) -> io::Result<Hold> {
    bound(port).map(|socket| Hold { _socket: socket })
}

/// Proves that nobody listens on a port, by doing so for a moment.
///
/// # Errors
/// When somebody does.
pub fn prove_port(port: u16) -> io::Result<()> {
    let socket = bound(port)?;
    Ok(listen(&socket, 1)?)
}

fn bound(port: u16) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, time::Duration};

    #[test]
    fn a_held_port_can_be_listened_on_and_is_proved_free_afterwards() {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port();
        let hold = hold_port(port).expect("free");
        // The standard library sets SO_REUSEADDR, as servers do.
        let server = TcpListener::bind(("127.0.0.1", port)).expect("over the hold");
        assert!(prove_port(port).is_err(), "somebody listens");
        drop(server);
        drop(hold);
        // A process that is being forked elsewhere holds copies of our sockets until it becomes another program.
        let free = (0..100)
            .any(|_| prove_port(port).map_err(|_| std::thread::sleep(Duration::from_millis(10))).is_ok());
        assert!(free, "free again");
    }
}
