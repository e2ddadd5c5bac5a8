//! A small world for strategies, and one round of asking them.
use bursar_interface::{
    Allocator, Ask, ClaimId, Fault, LineAsk, NodeSpec, Overlay, Plan, PoolSpec, ResourceSpec, Row, Shape,
    Take,
};
use bursar_pool::Books;

/// Two nodes of unlike size and four waiting claims.
pub(crate) fn books() -> (Books, Vec<Row>) {
    let mut books = Books::new();
    let (name, unit) = ("cpu".to_owned(), "millicores".into());
    books.set_resource(&ResourceSpec {
        name,
        shape: Shape::Capacity,
        unit,
        min: 1,
        step: 1,
        piece: 0,
        springs: 0,
        driven: false,
    });
    for (node, capacity) in [("small", 2000), ("large", 8000)] {
        books.set_node(&NodeSpec { name: node.into(), ..NodeSpec::default() });
        let (resource, name, node) = ("cpu".into(), "cpu".into(), Some(node.into()));
        books.set_pool(&PoolSpec {
            resource,
            node,
            name,
            capacity,
            labels: Vec::new(),
            ..PoolSpec::default()
        });
    }
    let open = |id: u64| {
        let line = LineAsk { resource: "cpu".into(), amount: 500 * id, ..LineAsk::default() };
        books.open_claim(ClaimId(id), "team", None, &Ask { lines: vec![line], ttl_ns: 1, ..Ask::default() })
    };
    let rows = (1..=4).map(open).collect();
    (books, rows)
}

/// Asks once.
pub(crate) fn place(allocator: &mut dyn Allocator, books: &Books, queue: &[Row]) -> Result<Vec<Take>, Fault> {
    let (mut overlay, mut takes) = (Overlay::default(), vec![Take::default(); queue.len()]);
    let view = books.view();
    let mut plan = Plan::new(view, &mut overlay, &mut takes);
    allocator.place(&view, queue, &mut plan)?;
    Ok(plan.takes().to_vec())
}
