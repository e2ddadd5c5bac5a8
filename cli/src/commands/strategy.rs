//! Who decides: shown, and swapped while everything goes on.
use super::{
    Context,
    outcome::{Failed, Outcome},
    show,
};
use crate::args::{Output, StrategyVerb};
use bursar_wire::{Strategies, StrategyBody};

/// `bursar strategy`.
pub fn strategy(context: &Context, verb: &StrategyVerb) -> Outcome {
    let mut client = context.client();
    let answer: Strategies = match verb {
        StrategyVerb::Show => client.get("/v1/strategies")?,
        StrategyVerb::Use { role, name } => {
            check(role)?;
            client.send(
                "PUT",
                &format!("/v1/strategies/{role}"),
                &StrategyBody { plugin: name.clone() },
                None,
            )?
        }
        StrategyVerb::Rollback { role } => {
            check(role)?;
            client.send("POST", &format!("/v1/strategies/{role}/rollback"), &serde_json::json!({}), None)?
        }
    };
    match context.output {
        Output::Table => show::line(&show::strategies(&answer.strategies)),
        output => show::document(&answer, output),
    }
    Ok(())
}

fn check(role: &str) -> Result<(), Failed> {
    match ["allocator", "qos"].contains(&role) {
        true => Ok(()),
        false => {
            Err(Failed::usage(format!("{role:?} is no strategy")).hint("strategies are: allocator, qos"))
        }
    }
}
