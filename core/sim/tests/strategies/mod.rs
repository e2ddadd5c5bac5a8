//! The strategies that are shipped, as instances for one world.
use bursar_sim::world::Strategies;

pub(crate) fn strategies() -> Strategies {
    Strategies {
        allocators: vec![
            ("first-fit".into(), Box::<bursar_allocator::fit::FirstFit>::default()),
            ("best-fit".into(), Box::<bursar_allocator::fit::BestFit>::default()),
            ("worst-fit".into(), Box::<bursar_allocator::fit::WorstFit>::default()),
        ],
        qos: vec![
            ("class".into(), Box::<bursar_qos::class::ByClass>::default()),
            ("class again".into(), Box::<bursar_qos::class::ByClass>::default()),
        ],
    }
}
