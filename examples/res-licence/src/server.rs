//! What is said to the licence server: a line and its answer, over a connection of its own each time, so that a server
//! that was restarted is as good as one that was not.
use bursar_sdk::{Amount, Fault};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// How long the server may take to answer; a driver has two seconds.
const PATIENCE: Duration = Duration::from_millis(500);
/// Lines of an answer at most.
const LINES_MAX: usize = 1000;

/// A licence server.
pub struct Server {
    address: String,
}

impl Server {
    /// The one at an address.
    pub fn at(address: &str) -> Server {
        Server { address: address.into() }
    }

    /// Products, and how many licences there are of each.
    ///
    /// # Errors
    /// A [`Fault`] when the server cannot be asked, or does not make sense.
    pub fn products(&self) -> Result<Vec<(String, Amount)>, Fault> {
        self.pairs("list")
    }

    /// Who has how many of a product.
    ///
    /// # Errors
    /// As [`Server::products`].
    pub fn holders(&self, product: &str) -> Result<Vec<(String, Amount)>, Fault> {
        self.pairs(&format!("holders {product}"))
    }

    /// Checks so many out for a holder, in all.
    ///
    /// # Errors
    /// As [`Server::products`]; and when so many are not there.
    pub fn take(&self, product: &str, count: Amount, holder: &str) -> Result<(), Fault> {
        self.said(&format!("take {product} {count} {holder}")).map(drop)
    }

    /// Checks in all that a holder has of a product.
    ///
    /// # Errors
    /// As [`Server::products`].
    pub fn give(&self, product: &str, holder: &str) -> Result<(), Fault> {
        self.said(&format!("give {product} {holder}")).map(drop)
    }

    /// How many of a product a holder has.
    ///
    /// # Errors
    /// As [`Server::products`].
    pub fn held(&self, product: &str, holder: &str) -> Result<Amount, Fault> {
        let holders = self.holders(product)?;
        Ok(holders.into_iter().find(|(name, _)| name == holder).map_or(0, |(_, count)| count))
    }

    fn pairs(&self, what: &str) -> Result<Vec<(String, Amount)>, Fault> {
        let pair = |line: &String| {
            let (name, count) = line.split_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        let lines = self.said(what)?;
        let pairs: Option<Vec<_>> = lines.iter().map(pair).collect();
        pairs.ok_or_else(|| Fault::new(format!("the licence server answered {lines:?} to {what:?}")))
    }

    /// The lines of an answer, up to the one that says `ok`; one that says `no` is a fault.
    fn said(&self, what: &str) -> Result<Vec<String>, Fault> {
        let unreachable = |why: String| Fault::new(format!("the licence server at {}: {why}", self.address));
        let asked = || -> std::io::Result<Vec<String>> {
            let address = self.address.to_socket_addrs()?.next();
            let address = address.ok_or_else(|| std::io::Error::other("there is no such host"))?;
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(format!("{what}\n").as_bytes())?;
            BufReader::new(stream).lines().take(LINES_MAX).collect()
        };
        let mut lines = asked().map_err(|error| unreachable(error.to_string()))?;
        match lines.pop() {
            Some(last) if last == "ok" => Ok(lines),
            Some(last) => Err(unreachable(last)),
            None => Err(unreachable("it said nothing".into())),
        }
    }
}
