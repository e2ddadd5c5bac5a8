//! What a waiting claim asked for, as it would be asked again.
use crate::Engine;
use bursar_interface::{Ask, ClaimId, LineAsk, NONE, Row, Within};
use std::ops::Range;

impl Engine {
    /// What a waiting claim asked for, as it would be asked again: an ask for each of its sets of lines.
    pub(crate) fn asked_for(&self, row: Row) -> Vec<Ask> {
        (0..self.books.sets(row)).map(|set| self.asked_in_set(row, self.books.set_rows(row, set))).collect()
    }

    fn asked_in_set(&self, row: Row, rows: Range<Row>) -> Ask {
        let (tables, c) = (self.books.tables(), row as usize);
        let (claims, lines) = (&tables.claims, &tables.lines);
        let terms = |bits: u64| self.books.label_terms(bits).into_iter().map(str::to_owned).collect();
        let mut asked: Vec<LineAsk> = Vec::new();
        let outer = rows.map(|line| line as usize);
        let outer = outer.map(|l| (lines.resource[l], lines.want[l], lines.models[l], lines.amount[l]));
        let inner = self.books.inner(row).iter();
        let inner = inner.map(|line| (line.resource, line.want, line.models, line.amount));
        for (resource, want, models, amount) in outer.chain(inner) {
            let spec = self.books.spec(resource);
            let pool = (want != NONE).then(|| self.books.pool_name(want).to_owned());
            let line = LineAsk {
                resource: spec.name.clone(),
                amount,
                whole: spec.springs > 0 && amount == spec.springs,
                pool,
                models: terms(models),
                soft: None,
            };
            let same = |other: &&mut LineAsk| {
                (&other.resource, &other.pool, &other.models) == (&line.resource, &line.pool, &line.models)
            };
            match asked.iter_mut().find(same) {
                Some(other) => other.amount += line.amount,
                None => asked.push(line),
            }
        }
        let path = |scope: Row| self.books.scope_path(scope).to_string();
        // The scope of a claim within another is a path below that one's.
        let parent = self.books.parent_row(row);
        let root = parent.map_or_else(String::new, |parent| path(claims.scope[parent as usize]));
        let scope = path(claims.scope[c]);
        let below = scope.strip_prefix(root.as_str()).unwrap_or(&scope).trim_start_matches('/');
        let within = parent.map(|parent| Within::Lease(ClaimId(claims.id[parent as usize]), None));
        Ask {
            within: within.unwrap_or_default(),
            scope: below.to_owned(),
            class: bursar_interface::Class::of(claims.class[c]),
            priority: claims.priority[c],
            ttl_ns: claims.ttl[c],
            expect_ns: claims.expect[c],
            lines: asked,
            need: terms(claims.need[c]),
            bar: terms(claims.bar[c]),
            gang: self.gang_of(ClaimId(claims.id[c])),
            apart: (claims.apart[c] != NONE).then(|| path(claims.apart[c])),
            ..Ask::default()
        }
    }
}
