//! Devices of other machines: connected to as a client, lent as a server. Both are burn's.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use burn::remote::RemoteHost;
use burn::server::{RemoteServer, WebSocketTransport};
use burn::tensor::Device;
use ip2p_core::{Error, Result};

/// Lends devices to other machines, on which [`device_by_name`](crate::device_by_name) finds them as `remote:HOST:PORT`; returns when
/// the process is told to end (Ctrl-C, `SIGTERM`).
///
/// Over WebSocket, without encryption, to anyone who reaches the port: for a network that is trusted. The devices must be of one
/// backend.
///
/// # Errors
///
/// [`Error::Other`] if the port cannot be listened on.
pub fn lend(devices: impl IntoIterator<Item = Device>, port: u16) -> Result<()> {
    RemoteServer::new(devices)
        .serve(WebSocketTransport::new(port))
        .map_err(|error| Error::other(format!("cannot lend devices on port {port}"), error))
}

/// The device `index` of those that are lent at `address`, `HOST:PORT`; or what is wrong.
pub(crate) fn connect(address: &str, index: usize) -> Result<Device, String> {
    let port = address
        .rsplit_once(':')
        .map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        return Err("must be spelt as in remote:192.168.1.7:3000".into());
    }
    let host = RemoteHost::websocket(&format!("ws://{address}"));
    let options = Device::remote_options(&host).device_index(index);
    let connected = options.init();
    connected.map_err(|error| format!("cannot be connected to: {error}"))
}

/// Whether something serves at `address`, `HOST:PORT`: a connection alone does not say so, for the system makes it even where the
/// process behind it stands still.
pub(crate) fn answers(address: &str, within: Duration) -> io::Result<()> {
    let nowhere = || io::Error::new(io::ErrorKind::NotFound, "there is no such host");
    let to = address.to_socket_addrs()?.next().ok_or_else(nowhere)?;
    let mut stream = TcpStream::connect_timeout(&to, within)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    // Whatever it says of such a request.
    stream.read_exact(&mut [0])
}
