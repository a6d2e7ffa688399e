//! Who holds a port that is taken: the process that listens there, from what Linux shows under `/proc`. Other users' processes
//! do not show to everybody; then there is nothing to say. Its arguments are not shown: they may hold secrets, and would get into
//! this node's log.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// State of a socket that listens, as `/proc/net/tcp` writes it.
const LISTENS: &str = "0A";

/// What to say about an address that is taken: `which process 71 (yilian-node) holds`, with a comma before; empty when it cannot
/// be told.
pub fn of(address: SocketAddr) -> String {
    let found = holder(address);
    found.map(|(number, name)| format!(", which process {number} ({name}) holds")).unwrap_or_default()
}

fn holder(address: SocketAddr) -> Option<(u32, String)> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let inodes: Vec<&str> =
        tables.iter().flat_map(|table| table.lines()).filter_map(|line| listener(line, address)).collect();
    let names: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let holds = |number: &u32| {
        let Ok(files) = fs::read_dir(format!("/proc/{number}/fd")) else { return false };
        let mut targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        targets.any(|target| names.iter().any(|name| target == Path::new(name)))
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let number = if names.is_empty() { None } else { numbers.find(holds) }?;
    Some((number, shown(&fs::read(format!("/proc/{number}/comm")).unwrap_or_default())))
}

/// A process's name as `/proc` has it, with a line break behind it. A process gives itself its name, so whatever would move a
/// terminal's cursor or begin a line of the log is escaped.
fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(name));
    name.escape_debug().to_string()
}

/// The inode of the socket in a line of `/proc/net/tcp` or `tcp6`, if it listens where `address` cannot be taken beside it.
fn listener(line: &str, address: SocketAddr) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let (host, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let host = host_of(host)?.to_canonical();
    let wanted = address.ip().to_canonical();
    let meets = host == wanted || host.is_unspecified() || wanted.is_unspecified();
    (*state == LISTENS && port == address.port() && meets).then_some(*inode)
}

/// Words of 32 bits in the order of this machine's bytes.
fn host_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn this_process_holds_what_it_listens_on() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            // A machine without IPv6 has no such address.
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let address = listener.local_addr().unwrap();
            assert_eq!(holder(address).unwrap().0, std::process::id(), "{address}");
            let everywhere = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port());
            assert!(of(everywhere).contains(&std::process::id().to_string()));
            drop(listener);
            assert_eq!(of(address), "");
        }
    }

    #[test]
    fn a_process_is_named_on_one_line_and_without_its_arguments() {
        for (name, expected) in [
            (&b"yilian-node\n"[..], "yilian-node"),
            (b"python3\nERROR fake\n", r"python3\nERROR fake"),
            (b"\x1b[2Jx\x07\xff\n", "\\u{1b}[2Jx\\u{7}\u{fffd}"),
            ("\u{202e}gnp".as_bytes(), r"\u{202e}gnp"),
            (b"", ""),
        ] {
            assert_eq!(shown(name), expected);
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let said = of(listener.local_addr().unwrap());
        let own = fs::read("/proc/self/comm").unwrap();
        assert_eq!(said, format!(", which process {} ({}) holds", std::process::id(), shown(&own)));
    }

    #[test]
    fn lines_of_the_kernels_table_are_read() {
        let line = "   1: 0100007F:2198 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        let address = "127.0.0.1:8600".parse().unwrap();
        if cfg!(target_endian = "little") {
            assert_eq!(listener(line, address), Some("4711"));
            assert_eq!(listener(&line.replace("0A 0000", "01 0000"), address), None);
            assert_eq!(listener(line, "127.0.0.2:8600".parse().unwrap()), None);
        }
        assert_eq!(listener("sl  local_address", address), None);
    }
}
