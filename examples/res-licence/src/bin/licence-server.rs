//! A small licence server: `licence-server ADDRESS STATE PRODUCT=COUNT...`. What is checked out is written down before
//! it is answered, so that it outlives the server.
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    time::Duration,
};

/// The products, and who has how many of which.
struct House {
    state: PathBuf,
    counts: BTreeMap<String, u64>,
    out: BTreeMap<(String, String), u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(address), Some(state)) = (words.next(), words.next()) else {
        return Err("licence-server ADDRESS STATE PRODUCT=COUNT...".into());
    };
    let mut counts = BTreeMap::new();
    for word in words {
        let (product, count) = word.split_once('=').ok_or("a product is PRODUCT=COUNT")?;
        counts.insert(product.to_owned(), count.parse()?);
    }
    let mut house = House { state: state.into(), counts, out: BTreeMap::new() };
    house.recall()?;
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming().flatten() {
        // Whoever leaves in the middle is not waited for.
        let _ = house.serve(stream);
    }
    Ok(())
}

impl House {
    fn serve(&mut self, mut stream: TcpStream) -> Result<(), Box<dyn Error>> {
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        let answer = match self.answer(&line) {
            Ok(lines) => lines.into_iter().map(|line| line + "\n").collect::<String>() + "ok\n",
            Err(why) => format!("no: {why}\n"),
        };
        Ok(stream.write_all(answer.as_bytes())?)
    }

    fn answer(&mut self, line: &str) -> Result<Vec<String>, Box<dyn Error>> {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["list"] => Ok(self.counts.iter().map(|(product, count)| format!("{product} {count}")).collect()),
            ["holders", product] => {
                let of = self.out.iter().filter(|((of, _), _)| of == product);
                Ok(of.map(|((_, holder), count)| format!("{holder} {count}")).collect())
            }
            ["take", product, count, holder] => {
                let (count, all) = (count.parse::<u64>()?, *self.counts.get(product).ok_or("no such product")?);
                let key = (product.to_owned(), holder.to_owned());
                let others = self.out.iter().filter(|((of, who), _)| of == product && who != holder);
                let taken: u64 = others.map(|(_, count)| count).sum();
                if count > all.saturating_sub(taken) {
                    return Err(format!("{} of {product} are left", all.saturating_sub(taken)).into());
                }
                self.out.insert(key, count);
                self.remember().map(|()| Vec::new())
            }
            ["give", product, holder] => {
                self.out.remove(&(product.to_owned(), holder.to_owned()));
                self.remember().map(|()| Vec::new())
            }
            _ => Err("what?".into()),
        }
    }

    fn remember(&self) -> Result<(), Box<dyn Error>> {
        let line = |((product, holder), count): (&(String, String), &u64)| format!("{product} {holder} {count}\n");
        let beside = self.state.with_extension("new");
        fs::write(&beside, self.out.iter().map(line).collect::<String>())?;
        Ok(fs::rename(beside, &self.state)?)
    }

    fn recall(&mut self) -> Result<(), Box<dyn Error>> {
        for line in fs::read_to_string(&self.state).unwrap_or_default().lines() {
            if let [product, holder, count] = line.split(' ').collect::<Vec<_>>()[..] {
                self.out.insert((product.into(), holder.into()), count.parse()?);
            }
        }
        Ok(())
    }
}
