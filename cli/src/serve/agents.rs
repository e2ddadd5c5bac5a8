//! What agents reach under `/mcp`: the tools, and their way back to the house as whoever calls.
use bursar_api::{Inside, Wing};
use bursar_mcp::{Act, Acted, Away, Daemon, Parts, Refused, Reply, Server};
use serde_json::Value;

/// Where the tools are.
const PATH: &str = "/mcp";

/// The daemon from inside.
#[derive(Clone)]
struct InHouse(Inside);

impl Daemon for InHouse {
    async fn request(
        &self,
        from: Option<&Parts>,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, Away> {
        let from = sent(from)?;
        let body = body.map(Value::to_string).unwrap_or_default().into_bytes();
        let (status, body) = self.0.request(from, method, path, body).await?;
        Ok(Reply { status, body })
    }

    async fn act(&self, from: Option<&Parts>, act: Act) -> Result<Acted, Away> {
        let from = sent(from)?;
        let acted = match act {
            Act::Ask(body) => self.0.ask(from, *body).await?,
            Act::Release { claim, fence } => self.0.release(from, claim, fence).await?,
        };
        Ok(acted.map_err(|refused| Refused { error: refused.error, offers: refused.offers }))
    }

    fn caller(&self, from: Option<&Parts>) -> u64 {
        from.map_or(0, |from| self.0.caller(from))
    }
}

fn sent(from: Option<&Parts>) -> Result<&Parts, Away> {
    Ok(from.ok_or_else(|| std::io::Error::other("a call that came in no request"))?)
}

/// The wing that agents come to; so many asks of one may come to nothing in a minute.
pub fn wing(refusals: u32) -> Wing {
    Wing::new(PATH, move |inside| bursar_mcp::http(Server::new(InHouse(inside)).pacing(refusals)))
}
