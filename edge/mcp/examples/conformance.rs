//! What the official conformance suite talks to: the handler that agents talk to, in front of a real daemon,
//! and beside its tools the ones that the suite calls by fixed names to see what a handler can send.
//!
//! `conformance SOCKET` serves HTTP on a free port of the loopback interface, which it prints.
use axum::{Router, response::IntoResponse, routing::any};
use bursar_mcp::{Remote, Server};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
        PaginatedRequestParams, ProgressNotificationParam, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::never::NeverSessionManager,
    },
};
use serde_json::{Map, Value, json};
use std::{path::Path, sync::Arc, time::Duration};
use tower_service::Service;

/// A picture and a sound, as small as they can be.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

/// Tools that the suite calls.
const FIXTURES: [&str; 8] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_progress",
    "json_schema_2020_12_tool",
];

/// The product's handler, and the suite's tools beside it.
#[derive(Clone)]
struct Beside(Server<Remote>);

impl ServerHandler for Beside {
    fn get_info(&self) -> ServerConfig {
        self.0.get_info()
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = self.0.list_tools(page, context).await?;
        list.tools.extend(FIXTURES.map(fixture));
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.0.get_tool(name).or_else(|| FIXTURES.into_iter().find(|known| *known == name).map(fixture))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match FIXTURES.into_iter().find(|known| *known == request.name) {
            Some(name) => Ok(called(name, &context).await.into()),
            None => self.0.call_tool(request, context).await,
        }
    }
}

fn fixture(name: &'static str) -> Tool {
    let schema = match name {
        "json_schema_2020_12_tool" => json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": { "address": { "type": "object", "properties": {
                "street": { "type": "string" }, "city": { "type": "string" } } } },
            "properties": { "name": { "type": "string" }, "address": { "$ref": "#/$defs/address" } },
            "additionalProperties": false,
        }),
        _ => json!({ "type": "object", "properties": {} }),
    };
    let schema: Map<String, Value> = schema.as_object().cloned().unwrap_or_default();
    Tool::new(name, "What the conformance suite calls.", Arc::new(schema))
}

async fn called(name: &str, context: &RequestContext<RoleServer>) -> CallToolResult {
    let image = || ContentBlock::image(PNG, "image/png");
    let resource = |text: &str| ContentBlock::embedded_text("test://embedded-resource", text);
    match name {
        "test_image_content" => CallToolResult::success(vec![image()]),
        "test_audio_content" => CallToolResult::success(vec![ContentBlock::audio(WAV, "audio/wav")]),
        "test_embedded_resource" => {
            CallToolResult::success(vec![resource("This is an embedded resource content.")])
        }
        "test_multiple_content_types" => CallToolResult::success(vec![
            ContentBlock::text("Multiple content types test:"),
            image(),
            resource("{\"test\":\"data\",\"value\":123}"),
        ]),
        "test_error_handling" => CallToolResult::error(vec![ContentBlock::text(
            "This tool intentionally returns an error for testing",
        )]),
        "test_tool_with_progress" => {
            if let Some(token) = context.meta.get_progress_token() {
                for done in [0.0, 50.0, 100.0] {
                    let sign = ProgressNotificationParam::new(token.clone(), done).with_total(100.0);
                    let _ = context.peer.notify_progress(sign).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            CallToolResult::success(vec![ContentBlock::text("done")])
        }
        _ => CallToolResult::success(vec![ContentBlock::text("This is a simple text response for testing.")]),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let socket = std::env::args_os().nth(1).expect("the daemon's socket");
    let server = Beside(Server::new(Remote::new(Path::new(&socket))));
    // As the product serves it, with the SDK's own look at hosts where the product has its door's.
    let config =
        StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let answer = move |request: axum::extract::Request| {
        let mut service = service.clone();
        async move { service.call(request).await.into_response() }
    };
    axum::serve(listener, Router::new().route("/mcp", any(answer))).await
}
