//! Who decides: shown, and swapped while everything goes on.
use super::{
    Context, get,
    outcome::{Failed, Outcome},
    show,
};
use crate::args::StrategyVerb;
use bursar_wire::{List, Strategies};

/// `bursar strategy`.
pub fn strategy(context: &Context, verb: &StrategyVerb) -> Outcome {
    let watch = matches!(verb, StrategyVerb::Show { watch: true });
    get::shown(context, watch, || once(context, verb))
}

fn once(context: &Context, verb: &StrategyVerb) -> Outcome {
    let mut client = context.client();
    let answer: Strategies = match verb {
        StrategyVerb::Show { .. } => client.list()?,
        StrategyVerb::Use { role, name } => {
            check(role)?;
            client.use_strategy(role, name)?
        }
        StrategyVerb::Rollback { role } => {
            check(role)?;
            client.roll_back(role)?
        }
    };
    show::rows(context, answer.strategies, show::strategies, |strategies| Strategies::of(strategies, None));
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
