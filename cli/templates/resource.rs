//! Resource `@NAME@`: a kind of thing that claims can ask for, as in `--need @NAME@=2`.
//!
//! How much there is stands in the daemon's config: `[[pool]] resource = "@NAME@", name = "main", capacity = "8"`.
use bursar_sdk::prelude::*;

#[derive(Default)]
struct @TYPE@;

#[plugin(id = "@NAME@")]
impl Resource for @TYPE@ {
    fn spec(&self) -> ResourceSpec {
        ResourceSpec {
            name: "@NAME@".into(),
            // Things that are held and come back; rates and budgets are spent.
            shape: Shape::Unit,
            unit: "pieces".into(),
            min: 1,
            step: 1,
            piece: 0,
            springs: 0,
            // Nothing outside the books has to be made true: see the role `driver` for what has.
            driven: false,
        }
    }
}

#[test]
fn it_passes_the_kit() {
    assert_eq!(bursar_conformance::resource(&@TYPE@), Ok(()));
}
