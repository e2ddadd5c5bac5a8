//! The one handler of all revisions of the protocol and of both transports.
use crate::{
    Daemon, advise, allocate, analyze, answer::Answer, arguments::Arguments, call::Call, denial::Denial,
    explain, give_back, limits::HOLD_MAX, monitor, pace::Pace, schema::TOOLS,
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use std::time::Duration;

/// How long a list of tools may be kept, in milliseconds: it changes with the program only.
const LIST_TTL_MS: u64 = 3_600_000;
/// What a model is told of all this.
const INSTRUCTIONS: &str = "Everything here is shared. Ask with resource_allocate before heavy work, keep the \
    claim and fence it gives, and call resource_release when done. A lease ends by itself after its ttl; \
    resource_settle with a new ttl keeps it.";

/// What agents speak to. It keeps nothing of a call but how often its caller was refused.
#[derive(Clone, Debug)]
pub struct Server<D> {
    daemon: D,
    pace: Pace,
    hold: Duration,
}

impl<D: Daemon> Server<D> {
    /// A server in front of a daemon. Clones count refusals together.
    pub fn new(daemon: D) -> Server<D> {
        Server { daemon, pace: Pace::default(), hold: HOLD_MAX }
    }

    /// How long one call waits before it says how things stand; [`HOLD_MAX`] if nobody says.
    pub fn holding(self, hold: Duration) -> Server<D> {
        Server { hold, ..self }
    }

    /// How many asks of one caller may come to nothing in a minute; [`REFUSALS_PER_MINUTE`] if nobody says.
    ///
    /// [`REFUSALS_PER_MINUTE`]: crate::limits::REFUSALS_PER_MINUTE
    pub fn pacing(self, refusals: u32) -> Server<D> {
        Server { pace: Pace::of(refusals), ..self }
    }

    async fn answer(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Option<Result<Answer, Denial>> {
        let call = Call { daemon: &self.daemon, pace: &self.pace, hold: self.hold, context };
        let passed = request.arguments;
        macro_rules! told {
            ($known:expr, $tool:path) => {
                match Arguments::of(passed, &$known) {
                    // By itself, so that a call is as large as its own tool, and not as the largest.
                    Ok(arguments) => Box::pin($tool(&call, &arguments)).await,
                    Err(denial) => Err(denial),
                }
            };
        }
        Some(match request.name.as_ref() {
            "resource_allocate" => told!(allocate::KNOWN, allocate::allocate),
            "resource_monitor" => told!(monitor::KNOWN, monitor::monitor),
            "resource_optimize" => told!(advise::KNOWN, advise::optimize),
            "resource_analytics" => told!(analyze::KNOWN, analyze::analyze),
            "resource_release" => told!(give_back::RELEASE, give_back::release),
            "resource_settle" => told!(give_back::SETTLE, give_back::settle),
            "resource_explain" => told!(explain::KNOWN, explain::explain),
            _ => return None,
        })
    }
}

impl<D: Daemon> ServerHandler for Server<D> {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("bursar", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(INSTRUCTIONS.into());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = ListToolsResult::with_all_items(TOOLS.clone());
        (list.ttl_ms, list.cache_scope) = (Some(LIST_TTL_MS), Some(CacheScope::Public));
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        TOOLS.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match self.answer(request, &context).await {
            Some(answered) => Ok(answered.unwrap_or_else(Answer::from).result().into()),
            None => Err(ErrorData::invalid_params("there is no such tool; see tools/list", None)),
        }
    }
}
