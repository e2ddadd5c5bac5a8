//! What makes two claims alike for placement: when one of a shape does not fit, none of them does,
//! until something changes that can help (equivalence hashing: Kubernetes KEP-4247, Borg).
use bursar_interface::{Row, Tables};

/// The shape of a claim: 128 hashed bits of what decides whether it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Shape(u64, u64);

impl Shape {
    /// An empty shape.
    pub(crate) fn new() -> Shape {
        Shape(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
    }

    /// The shape with one more word in it.
    pub(crate) fn with(self, word: u64) -> Shape {
        let a = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let b = (self.1.rotate_left(17) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
        Shape(a ^ a >> 29, b ^ b >> 31)
    }

    /// The shape of a waiting claim, its scope included because of quotas, and its class and estimate
    /// because of what is kept for others.
    pub(crate) fn of(tables: &Tables, claim: Row) -> Shape {
        let (c, claims) = (claim as usize, &tables.claims);
        let whole = [
            u64::from(claims.scope[c]),
            u64::from(claims.apart[c]) | u64::from(claims.class[c]) << 32,
            claims.expect[c],
            claims.need[c],
            claims.bar[c],
        ];
        let shape = whole.into_iter().fold(Shape::new(), Shape::with);
        Shape::lines(tables, claims.line_rows(claim), shape)
    }

    /// A shape with some lines in it.
    pub(crate) fn lines(tables: &Tables, rows: std::ops::Range<Row>, shape: Shape) -> Shape {
        rows.map(|line| line as usize).fold(shape, |shape, l| {
            let lines = &tables.lines;
            let line = [
                u64::from(lines.resource[l]) | u64::from(lines.want[l]) << 32,
                lines.amount[l],
                lines.models[l],
            ];
            line.into_iter().fold(shape, Shape::with)
        })
    }
}
