//! A second opinion on gangs: of each, as many are granted in one step as it has, or none.
use bursar_interface::{Batch, ClaimId, Command, Input, What};
use std::collections::BTreeMap;

/// Path of the scope, name and size.
type Gang = (String, String, u32);

/// Which gang each waiting claim is of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gangs(BTreeMap<ClaimId, Gang>);

impl Gangs {
    /// Checks what was granted in a step; says how many claims of gangs of more than one were.
    pub(crate) fn hear(&mut self, batch: &Batch) -> Result<u64, String> {
        let mut granted: BTreeMap<Gang, u32> = BTreeMap::new();
        for event in &batch.events {
            let input = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
            match (&event.what, input) {
                (What::Queued { claim, .. }, Some(Input { by, body: Command::Ask(ask) })) => {
                    if let Some(gang) = &ask.gang {
                        let levels = [by.root.as_str(), ask.scope.as_str()];
                        let levels = levels.into_iter().filter(|level| !level.is_empty());
                        let path = levels.collect::<Vec<_>>().join("/");
                        self.0.insert(*claim, (path, gang.name.clone(), gang.size));
                    }
                }
                (What::Granted { claim, .. }, _) => {
                    if let Some(gang) = self.0.remove(claim) {
                        *granted.entry(gang).or_default() += 1;
                    }
                }
                (What::Closed { claim, .. }, _) => {
                    self.0.remove(claim);
                }
                _ => {}
            }
        }
        match granted.iter().find(|((_, _, size), count)| *count % size > 0) {
            Some((gang, count)) => Err(format!("{count} of gang {gang:?} were granted")),
            None => {
                Ok(granted.iter().filter(|((_, _, size), _)| *size > 1).map(|(_, &n)| u64::from(n)).sum())
            }
        }
    }
}
